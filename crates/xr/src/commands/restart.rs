//! `xr restart`: changed settings applied, then everything that was not made anew stopped and started, layer by layer.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;
use xr_lifecycle::prepare_restart;
use xr_model::{Container, Fault, Result, Verdict, exit};

use super::{
    deploy::show_plan,
    start::{prepare_up, up},
    stop::known_services,
};
use crate::{
    context::Context,
    outcome,
    print::{out, print_json},
    run,
};

/// `xr restart`
#[derive(Debug, Args)]
pub struct Restart {
    /// Only these services; all when none is named
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(known_services))]
    services: Vec<String>,
    /// Show what would be done and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// `xr restart`
pub async fn run(context: &Context, args: &Restart) -> Result<u8> {
    let session = context.session()?;
    let current = session
        .generations
        .current()?
        .ok_or_else(|| Fault::new(format!("nothing is installed in {}", session.root.display())).hint("xr install"))?;
    let known: Vec<&str> = current.services.iter().map(|s| s.name.as_str()).collect();
    if let Some(unknown) = args.services.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Fault::new(format!("there is no service `{unknown}`"))
            .hint(format!("services: {}", known.join(", ")))
            .code(exit::USAGE));
    }
    let project = current.invocation.project;
    let chosen = |c: &Container| c.is_running() && (args.services.is_empty() || args.services.contains(&c.service));
    let before = prepare_up(context, &session, "restart", args.dry_run).await?;
    let ran: Vec<String> = session.containers(&project).await?.into_iter().filter(chosen).map(|c| c.id).collect();
    if args.dry_run {
        // What will be made anew is not restarted as well; the settings' plan is shown before the restart's.
        context.renderer.finish();
        let replaced = before.replaced();
        let ids: Vec<String> = ran.into_iter().filter(|id| !replaced.contains(id)).collect();
        let settings = before.plan.clone();
        let lock = before.into_lock().ok_or_else(|| Fault::new("the lock is gone"))?;
        let restart = prepare_restart(&session, &ids, lock).await?;
        if context.globals.json {
            print_json(&json!({"format": 1, "settings": settings, "plan": restart.plan}));
            return Ok(exit::OK);
        }
        for step in settings.steps() {
            out(&format!("     {}", step.action.title()));
        }
        show_plan(context, &restart);
        return Ok(exit::OK);
    }
    let first = up(&session, &before).await;
    if !matches!(first.verdict, Verdict::Changed | Verdict::Unchanged) {
        return Ok(outcome::show(context, first));
    }
    // What was made anew or restarted on the way is fresh already.
    let fresh = before.replaced();
    let ids: Vec<String> = ran.into_iter().filter(|id| !fresh.contains(id)).collect();
    let lock = match before.into_lock() {
        Some(lock) => lock,
        None => run::lock(context, &session.home, "restart").await?,
    };
    let again = prepare_restart(&session, &ids, lock).await?;
    if again.plan.is_empty() {
        return Ok(outcome::show(context, first));
    }
    let mut outcome = up(&session, &again).await;
    outcome.elapsed_ms += first.elapsed_ms;
    if outcome.verdict == Verdict::Changed {
        outcome.changes = first.changes;
        outcome.undo = first.undo;
    }
    Ok(outcome::show(context, outcome))
}
