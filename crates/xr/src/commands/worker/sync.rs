//! `xr worker sync`: workers to the version that serves.

use serde_json::json;
use xr_model::{Result, Worker, exit};
use xr_workers::Synced;

use super::Sync;
use crate::{
    context::Context,
    print::{err, out, print_json},
    run,
};

/// `xr worker sync`
pub async fn run(context: &Context, args: &Sync) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::begin(context, &session, "worker sync").await?;
    let workers: Vec<Worker> = match args.names.as_slice() {
        [] => session.site.workers.clone(),
        names => names.iter().map(|name| session.worker(name).cloned()).collect::<Result<_>>()?,
    };
    let from = args.images_from.map_or(session.site.fleet.images_from, Into::into);
    let synced = xr_workers::sync(&session, &workers, from).await?;
    context.renderer.finish();
    show(context, &synced);
    Ok(if synced.iter().all(|one| one.result.is_ok()) { exit::OK } else { exit::FAILED })
}

fn show(context: &Context, synced: &[Synced]) {
    if context.globals.json {
        let workers: Vec<_> = synced
            .iter()
            .map(|one| match &one.result {
                Ok(changed) => json!({"worker": one.worker, "changed": changed}),
                Err(fault) => json!({"worker": one.worker, "error": fault.chain(), "hint": fault.hint}),
            })
            .collect();
        print_json(&json!({"format": 1, "workers": workers}));
        return;
    }
    for one in synced {
        match &one.result {
            Ok(true) => out(&format!("{}: brought up to date", one.worker)),
            Ok(false) => out(&format!("{}: already so", one.worker)),
            Err(fault) => {
                err(&format!("error: {}", fault.chain()));
                if let Some(hint) = &fault.hint {
                    err(&format!("hint: {hint}"));
                }
            }
        }
    }
    if synced.is_empty() {
        out("no workers (xr worker add user@host)");
    }
}
