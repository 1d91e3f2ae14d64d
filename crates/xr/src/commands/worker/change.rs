//! `xr worker remove` and `drain`.

use xr_model::{Level, Result, Worker, exit};

use super::{Drain, Remove};
use crate::{context::Context, print::out, prompt, run};

/// `xr worker remove`
pub async fn remove(context: &Context, args: &Remove) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::begin(context, &session, "worker remove").await?;
    let worker = session.worker(&args.name)?.clone();
    if !prompt::confirm(&context.globals, &format!("remove worker {} ({})?", worker.name, worker.ssh))? {
        out("nothing was changed");
        return Ok(exit::OK);
    }
    if let Err(fault) = xr_workers::dismiss(&session, &worker).await {
        if !args.force {
            return Err(fault.hint(format!(
                "xr worker remove {} --force   takes it off the list; its agent stays there",
                worker.name
            )));
        }
        session.say(Level::Warning, format!("{}; its agent stays there", fault.chain()));
        xr_workers::forget_key(&session, &worker).await?;
    }
    xr_workers::forget(&session, &worker.name)?;
    context.renderer.finish();
    out(&format!("worker {} is removed", worker.name));
    Ok(exit::OK)
}

/// `xr worker drain`
pub async fn drain(context: &Context, args: &Drain) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::begin(context, &session, "worker drain").await?;
    let worker = session.worker(&args.name)?.clone();
    xr_workers::change(&session, &Worker { drained: !args.undo, ..worker })?;
    context.renderer.finish();
    let what = if args.undo { "gets tasks again" } else { "gets no more tasks" };
    out(&format!("worker {} {what}", args.name));
    Ok(exit::OK)
}
