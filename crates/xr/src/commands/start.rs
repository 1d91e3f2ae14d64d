//! `xr start`: what the present generation says, up again; changed settings are applied on the way.

use clap::Args;
use xr_lifecycle::{Prepared, Request, Wanted, apply, prepare, prepare_start, settings_changed};
use xr_model::{Fault, Level, Mode, Outcome, Result, exit};
use xr_session::Session;

use super::deploy::{request, show_plan};
use crate::{commands::options::Run, context::Context, outcome, run};

/// `xr start`
#[derive(Debug, Args)]
pub struct Start {
    /// Show what would be done and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// `xr start`
pub async fn run(context: &Context, args: &Start) -> Result<u8> {
    let session = context.session()?;
    let prepared = prepare_up(context, &session, "start", args.dry_run).await?;
    if args.dry_run {
        context.renderer.finish();
        show_plan(context, &prepared);
        return Ok(exit::OK);
    }
    let outcome = up(&session, &prepared).await;
    Ok(outcome::show(context, outcome))
}

/// Plans to bring up what is installed; with changed settings that is an install over it, else a start. Takes the lock.
pub async fn prepare_up(
    context: &Context,
    session: &Session<'_>,
    command: &'static str,
    dry_run: bool,
) -> Result<Prepared> {
    let lock = run::begin(context, session, command).await?;
    let current = session
        .generations
        .current()?
        .ok_or_else(|| Fault::new(format!("nothing is installed in {}", session.root.display())).hint("xr install"))?;
    if !session.stack.layout.env_path().exists() {
        session.say(
            Level::Warning,
            format!("{} is missing; `xr doctor` tells where it is kept", session.stack.layout.env_path().display()),
        );
    }
    let prepared = if settings_changed(session, &current)? {
        let wanted = Wanted::Install { version: None, dev: current.mode == Mode::Dev };
        let request = Request { wanted, ..request(Run { dry_run, no_backup: true }) };
        prepare(session, &request, lock).await?
    } else {
        prepare_start(session, lock).await?
    };
    prepared.tell_notes(session);
    Ok(prepared)
}

/// Applies it. A start is no change to go back from.
pub async fn up(session: &Session<'_>, prepared: &Prepared) -> Outcome {
    let _guard = (!prepared.plan.is_empty()).then(|| run::guard(session));
    let outcome = apply(session, prepared).await;
    let undo = outcome.undo.clone().filter(|_| prepared.plan.from != Some(prepared.plan.generation));
    Outcome { undo, ..outcome }
}
