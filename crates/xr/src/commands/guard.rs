//! `xr guard`, which xr starts itself: waits for the end of the process that started it, then ends what that left unfinished.

use std::{io::Read, time::Duration};

use clap::Args;
use xr_journal::{Home, unfinished};
use xr_lifecycle::Recovery;
use xr_model::{Result, exit};
use xr_session::Session;

use crate::{
    context::Context,
    globals::Globals,
    guard::Guard as Post,
    print::{err, out},
    run, signals,
};

/// Seconds before each try: the engine may be on its way down or up, a disk full for a while.
const TRIES: [u64; 8] = [0, 2, 5, 15, 30, 60, 120, 300];
/// How long another run may hold the lock; it ends what is unfinished itself.
const WAIT: Duration = Duration::from_secs(600);

/// `xr guard`
#[derive(Debug, Args)]
pub struct Guard {
    /// Which in a row of guards, each of which watches over the recovery that the one before it makes
    #[arg(long, default_value_t = 1)]
    number: u8,
}

/// `xr guard`
pub async fn run(globals: Globals, args: &Guard) -> Result<u8> {
    // What ends the run's terminal, or is typed at it, is not for the guard.
    let _ = rustix::process::setsid();
    signals::ignore();
    let context = Context::silent(Globals { wait: Some(WAIT), ..globals }, "guard");
    let root = context.root()?;
    let home = Home::of(&root);
    out("on guard");
    // It ends when the run's process does; a byte before the end says that nothing is to do.
    let mut said = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut said);
    if !said.is_empty() || unfinished(&home)?.is_none() {
        return Ok(exit::OK);
    }
    // One successor for all tries, and only for the case that this guard is killed too.
    let successor = Post::post(&root, args.number + 1).ok();
    let mut ended = Ok(None);
    for seconds in TRIES {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        ended = end(&context).await;
        if ended.is_ok() {
            break;
        }
    }
    if let Some(successor) = successor {
        successor.dismiss();
    }
    // The terminal may be somebody else's by now: one line, however often it was tried.
    match ended {
        Ok(Some(recovery)) => err(&format!("xr: {}", run::how_it_ended(&recovery))),
        Ok(None) => {}
        Err(fault) => {
            err(&format!("xr: the run that was killed cannot be taken back: {}; then: xr recover", fault.chain()));
            return Ok(exit::DEGRADED);
        }
    }
    Ok(exit::OK)
}

async fn end(context: &Context) -> Result<Option<Recovery>> {
    let session: Session<'_> = context.session()?;
    let _lock = run::lock(context, &session.home, "guard").await?;
    xr_lifecycle::recover(&session).await
}
