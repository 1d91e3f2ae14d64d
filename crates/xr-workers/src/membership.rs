//! Who takes part in a run, by the rule that the admin has declared.

use std::time::{Duration, Instant};

use xr_host::Trouble;
use xr_model::{Away, Fault, Level, ObservedWorker, Result, Worker, exit};
use xr_session::Session;

use crate::{Seen, Target, see_all};

/// Between two looks at workers that are waited for.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// The workers that take part in a run towards `target`, as they are.
///
/// # Errors
/// When the rule says that the run is given up: somebody is away, or too few are there.
pub async fn taking_part(session: &Session<'_>, target: &Target) -> Result<Vec<ObservedWorker>> {
    session.phase("workers");
    let rule = &session.site.fleet;
    let begun = Instant::now();
    // One that is drained may be taken away at any moment: it catches up when it is asked for.
    let mut left: Vec<Worker> = session.site.workers.iter().filter(|worker| !worker.drained).cloned().collect();
    let mut present: Vec<Seen> = Vec::new();
    let away = loop {
        let (there, away): (Vec<Seen>, Vec<Seen>) =
            see_all(session, &left, Some(target)).await.into_iter().partition(|seen| seen.there.is_ok());
        present.extend(there);
        let waits = rule.away == Away::Wait && begun.elapsed() < rule.wait && !away.is_empty();
        if !waits || session.cancel.is_raised() {
            break away;
        }
        left = away.into_iter().map(|seen| seen.worker).collect();
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = session.cancel.raised() => {}
        }
    };
    let why = |seen: &Seen| seen.there.as_ref().err().map(|absent| absent.fault.chain()).unwrap_or_default();
    if let (Some(first), Away::Wait | Away::Abort) = (away.first(), rule.away) {
        let others: Vec<&str> = away.iter().skip(1).map(|seen| seen.worker.name.as_str()).collect();
        let also = if others.is_empty() { String::new() } else { format!("; also away: {}", others.join(", ")) };
        return Err(Fault::new(format!("{}{also}", why(first)))
            .hint("nothing was changed; .xr/site.toml: [fleet] away = \"skip\" goes on without it, xr worker drain NAME does once")
            .code(exit::TRY_LATER));
    }
    for seen in &away {
        // A key that is wrong, or a host that is another one, does not pass by waiting.
        let stays = seen.there.as_ref().is_err_and(|absent| {
            matches!(absent.trouble, Some(Trouble::UnknownHostKey | Trouble::OtherHostKey | Trouble::Key))
        });
        let later = if stays { "left out" } else { "left out; it catches up at its return" };
        session.say(Level::Warning, format!("{} ({later})", why(seen)));
    }
    let all = session.site.workers.iter().filter(|worker| !worker.drained).count();
    let joined: Vec<ObservedWorker> = present.iter().map(|seen| joined(target, seen)).collect::<Result<_>>()?;
    let needed = rule.quorum.of(all, joined.len());
    if joined.len() < needed {
        return Err(Fault::new(format!(
            "{} of {all} workers are there, and the quorum is {}",
            joined.len(),
            rule.quorum
        ))
        .hint("xr worker list; nothing was changed")
        .code(exit::TRY_LATER));
    }
    Ok(joined)
}

/// A worker that is there, as a plan needs to know it.
///
/// # Errors
/// When the manifest names what is not there.
pub(crate) fn joined(target: &Target, seen: &Seen) -> Result<ObservedWorker> {
    let Ok(there) = &seen.there else { return Err(Fault::new(format!("worker {} is away", seen.worker.name))) };
    let agent = target.agent(&seen.worker)?;
    let name = target.agent_name(&seen.worker.name);
    let has = target.images.iter().zip(&there.images).filter(|(_, id)| id.is_some());
    // As the plan asks for them: by digest where a registry has given one.
    let images = has.map(|(image, id)| match (&image.digest, id) {
        (Some(digest), _) => digest.0.clone(),
        (None, id) => id.clone().unwrap_or_default(),
    });
    Ok(ObservedWorker {
        name: seen.worker.name.clone(),
        images: images.collect(),
        up_to_date: agent.is_none_or(|(_, fingerprint)| there.has_agent(&name, &fingerprint)),
    })
}
