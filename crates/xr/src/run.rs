//! How everything that changes a stack begins: the lock, the end of an unfinished run, a guard.

use std::time::{Duration, Instant};

use xr_journal::{Holder, Home, RunLock, unfinished};
use xr_lifecycle::{Recovery, recover};
use xr_model::{Level, Result, Verdict, exit};
use xr_session::Session;

use crate::{context::Context, guard::Guard};

/// How long a guard is waited for.
const GUARD: Duration = Duration::from_secs(300);
/// Between two tries to get the lock.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes the lock; waits for it as long as `--wait` says, and for a guard that ends an unfinished run.
///
/// # Errors
/// [`exit::LOCKED`] when another run holds it still; [`exit::INTERRUPTED`] after Ctrl-C.
pub async fn lock(context: &Context, home: &Home, command: &str) -> Result<RunLock> {
    let begun = Instant::now();
    let asked = context.globals.wait.unwrap_or_default();
    let mut said = false;
    loop {
        let refused = match RunLock::take(home, command, &xr_session::now()) {
            Ok(lock) => return Ok(lock),
            Err(fault) => fault,
        };
        // A guard does what this command would have to do first.
        let patience =
            if Holder::of(home).is_some_and(|holder| holder.command() == "guard") { asked.max(GUARD) } else { asked };
        if refused.code != exit::LOCKED || begun.elapsed() >= patience {
            return Err(refused);
        }
        if !said {
            let text = format!("{}; waiting for its end", refused.message);
            context.renderer.emit(xr_model::Event::Message { level: Level::Info, text });
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = context.cancel.raised() => return Err(refused.code(exit::INTERRUPTED)),
        }
    }
}

/// Takes the lock and ends an unfinished run, which it tells of.
///
/// # Errors
/// As [`lock`] and [`end_unfinished`].
pub async fn begin(context: &Context, session: &Session<'_>, command: &str) -> Result<RunLock> {
    let lock = lock(context, &session.home, command).await?;
    let recovery = end_unfinished(session).await?;
    tell_end(session, recovery.as_ref());
    Ok(lock)
}

/// Ends an unfinished run, when there is one, under a guard. The caller holds the lock.
///
/// # Errors
/// When the journal cannot be read or the engine does not answer; the run then stays unfinished.
pub async fn end_unfinished(session: &Session<'_>) -> Result<Option<Recovery>> {
    let guard = if unfinished(&session.home)?.is_some() { guard(session) } else { None };
    let recovered = recover(session).await;
    // This process has lived to the end of it; whether it went well is for the admin to hear.
    if let Some(guard) = guard {
        guard.dismiss();
    }
    let recovery = recovered?;
    if let Some(recovery) = &recovery {
        tracing::info!("{}", how_it_ended(recovery));
    }
    Ok(recovery)
}

/// Tells how an unfinished run was ended, before what was asked for begins.
pub fn tell_end(session: &Session<'_>, recovery: Option<&Recovery>) {
    if let Some(recovery) = recovery {
        session.say(Level::Warning, how_it_ended(recovery));
    }
}

/// Posts a guard. A run goes on without one: it is a second net, not the first.
pub fn guard(session: &Session<'_>) -> Option<Guard> {
    Guard::post(&session.root, 1)
        .map_err(|fault| {
            let text = "if this run is killed, nothing takes it back until the next xr command";
            session.say(Level::Warning, format!("no guard: {}; {text}", fault.chain()));
        })
        .ok()
}

/// The words for it.
pub fn how_it_ended(recovery: &Recovery) -> String {
    let outcome = &recovery.outcome;
    let (how, installed) = match outcome.verdict {
        Verdict::Changed => ("finished", &outcome.to),
        Verdict::Degraded => {
            let why = outcome.hint.as_deref().unwrap_or_default();
            return format!("the {} that had not ended could not be taken back: {why}", outcome.command.as_str());
        }
        _ => ("taken back", &outcome.from),
    };
    let installed = installed.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!("the {} that had not ended was {how}: {installed} is what is installed", outcome.command.as_str())
}
