//! `xr stop`: every container of the project, profile services too, dependants first; they are kept.

use clap::Args;
use clap_complete::{CompletionCandidate, engine::ArgValueCandidates};
use serde_json::json;
use xr_journal::{Generations, Home};
use xr_lifecycle::{stop, stoppable};
use xr_model::{Level, Result, exit};

use crate::{
    context::Context,
    print::{out, print_json},
    run,
};

/// `xr stop`
#[derive(Debug, Args)]
pub struct Stop {
    /// Only these services; all when none is named
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(known_services))]
    services: Vec<String>,
    /// Show what would be stopped and stop nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `xr stop`
pub async fn run(context: &Context, args: &Stop) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::lock(context, &session.home, "stop").await?;
    // What cannot be brought back to health can still be stopped.
    match run::end_unfinished(&session).await {
        Ok(recovery) => run::tell_end(&session, recovery.as_ref()),
        Err(fault) => session.say(Level::Warning, fault.chain()),
    }
    let layers = stoppable(&session, &args.services).await?;
    if args.dry_run {
        let names: Vec<Vec<&str>> = layers
            .iter()
            .map(|layer| layer.iter().filter(|c| c.is_running()).map(|c| c.name.as_str()).collect())
            .filter(|layer: &Vec<&str>| !layer.is_empty())
            .collect();
        context.renderer.finish();
        if context.globals.json {
            print_json(&json!({"format": 1, "would_stop": names}));
        } else if names.is_empty() {
            out("nothing runs");
        } else {
            for (number, layer) in names.iter().enumerate() {
                out(&format!("{:>3}. stop {}", number + 1, layer.join(" · ")));
            }
        }
        return Ok(exit::OK);
    }
    let done = stop(&session, &layers).await?;
    context.renderer.finish();
    if context.globals.json {
        print_json(&json!({"format": 1, "stopped": done.stopped}));
    } else if done.stopped.is_empty() {
        out("nothing runs");
    } else {
        out(&format!("stopped: {}", done.stopped.join(", ")));
        if !context.globals.quiet && context.renderer.is_interactive() {
            out("back: xr start");
        }
    }
    Ok(exit::OK)
}

/// Services of the present generation, for the shell.
pub fn known_services() -> Vec<CompletionCandidate> {
    let root = super::complete::root();
    let current = root.and_then(|root| Generations::of(&Home::of(&root)).current().ok().flatten());
    current.into_iter().flat_map(|g| g.services).map(|service| CompletionCandidate::new(service.name)).collect()
}
