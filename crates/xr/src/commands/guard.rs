//! `xr guard`, which xr starts itself: waits for the end of the process that started it, then ends what that left unfinished.

use std::{io::Read, time::Duration};

use clap::Args;
use xr_engine::World;
use xr_journal::{Home, unfinished};
use xr_model::{Level, Result, exit};

use crate::{args::Globals, context::Context, outcome::out, run, signals};

/// Seconds before each try: the engine may be on its way down or up.
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
    let context = Context::deaf(Globals { wait: Some(WAIT), ..globals }, "guard");
    let home = Home::of(&context.root()?);
    out("on guard");
    // Nothing is ever written there: it ends when the run's process does.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for seconds in TRIES {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        if unfinished(&home)?.is_none() {
            return Ok(exit::OK);
        }
        match end(&context, args.number).await {
            Ok(()) => return Ok(exit::OK),
            Err(fault) => {
                context.renderer.emit(xr_model::Event::Message { level: Level::Warning, text: fault.chain() })
            }
        }
    }
    Ok(exit::DEGRADED)
}

async fn end(context: &Context, number: u8) -> Result<()> {
    let world: World<'_> = context.world()?;
    let _lock = run::lock(context, &world.home, "guard").await?;
    run::end_unfinished(&world, number + 1).await.map(drop)
}
