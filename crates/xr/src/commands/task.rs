//! `xr run`: a task in the worker image at the stack's version, on the host that has most to give.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;
use xr_model::{Result, exit};
use xr_workers::{TaskOrder, start_task};

use super::{
    complete,
    worker::{selector, tell},
};
use crate::{
    context::Context,
    print::{err, out, print_json},
};

/// `xr run`
#[derive(Debug, Args)]
pub struct RunTask {
    /// On a worker with this label, KEY or KEY=VALUE (repeatable)
    #[arg(long, value_name = "K[=V]", value_parser = on, conflicts_with = "worker")]
    pub on: Vec<(String, Option<String>)>,
    /// On this worker; `local` for this host
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::workers))]
    pub worker: Option<String>,
    /// Start it and leave it to itself: prints where it runs
    #[arg(short, long)]
    pub detach: bool,
    /// What the image's program is given
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// `xr run`
///
/// # Errors
/// When no host fits.
pub async fn run(context: &Context, args: &RunTask) -> Result<u8> {
    let session = context.session()?;
    let order = TaskOrder {
        worker: args.worker.clone(),
        labels: args.on.clone(),
        args: args.args.clone(),
        detach: args.detach,
    };
    let task = start_task(&session, &order).await?;
    context.renderer.finish();
    if args.detach {
        if context.globals.json {
            print_json(&json!({"format": 1, "host": task.host, "container": task.name, "id": task.id}));
        } else {
            out(&format!("{} {}", task.host, task.name));
        }
        return Ok(exit::OK);
    }
    if !context.globals.quiet {
        err(&format!("{} on {}", task.name, task.host));
    }
    let code = task.follow(&session, &mut tell).await?;
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

/// `label=KEY=VALUE` says the same.
fn on(text: &str) -> std::result::Result<(String, Option<String>), String> {
    selector(text.strip_prefix("label=").unwrap_or(text))
}
