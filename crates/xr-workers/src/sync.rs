//! Bringing workers to the version that serves, each by itself: a new one, and one that was away.

use std::collections::BTreeSet;

use futures_util::future;
use xr_model::{Fault, Level, Result, Worker};
use xr_session::Session;
use xr_stack::ImagesFrom;
use xr_worker_bootstrap::{Agent, Switched};

use crate::{Ledger, Seen, Target, membership::joined, observe::named, see, see_all, stage::stage};

/// What became of one worker.
pub struct Synced {
    /// Which.
    pub worker: String,
    /// Whether something had to be done, or why it could not be.
    pub result: Result<bool>,
}

/// Brings these workers to the version that serves, several at once.
///
/// # Errors
/// When nothing is installed. What becomes of each worker is told of each.
pub async fn sync(session: &Session<'_>, workers: &[Worker], from: ImagesFrom) -> Result<Vec<Synced>> {
    let target = Target::present(session).await?;
    let seen = see_all(session, workers, Some(&target)).await;
    Ok(bring_all(session, &target, seen, from).await)
}

/// Brings those workers along that are behind, as far as they are not left alone after failures. Says what it did.
pub async fn catch_up(session: &Session<'_>) -> Vec<Synced> {
    if session.site.workers.is_empty() {
        return Vec::new();
    }
    let target = match Target::present(session).await {
        Ok(target) => target,
        Err(fault) => {
            session.say(Level::Warning, format!("the workers cannot be looked at: {}", fault.chain()));
            return Vec::new();
        }
    };
    let mut ledger = Ledger::read(session);
    let mut due = Vec::new();
    for worker in session.site.workers.iter().filter(|worker| !worker.drained) {
        match ledger.of(&worker.name).rests() {
            Some(why) => {
                session.say(Level::Warning, format!("worker {}: {why} (xr worker sync {})", worker.name, worker.name));
            }
            None => due.push(worker.clone()),
        }
    }
    let seen = see_all(session, &due, Some(&target)).await;
    let synced = bring_all(session, &target, seen, session.site.fleet.images_from).await;
    for one in &synced {
        match &one.result {
            Ok(true) => session.say(Level::Info, format!("worker {} is at {} now", one.worker, target.version)),
            Ok(false) => {}
            Err(fault) => session.say(Level::Warning, format!("{} (xr worker sync {})", fault.chain(), one.worker)),
        }
    }
    synced
}

async fn bring_all(session: &Session<'_>, target: &Target, seen: Vec<Seen>, from: ImagesFrom) -> Vec<Synced> {
    // Whoever does not answer costs no more than the question, which each run asks once.
    let away = seen.iter().filter(|seen| seen.there.is_err());
    let absent: BTreeSet<String> = away.map(|seen| seen.worker.name.clone()).collect();
    let work = seen.into_iter().enumerate().map(async |(number, seen)| {
        let worker = seen.worker.name.clone();
        let result = async {
            let part = joined(target, &seen);
            let there = seen.there.map_err(|absent| absent.fault)?;
            if part?.up_to_date && there.has_images() {
                return Ok(false);
            }
            let _turn = session.turn().await;
            let step = u32::try_from(number).unwrap_or(u32::MAX);
            let brought = bring(session, target, &seen.worker, step, from).await;
            brought.map(|()| true).map_err(|fault| named(fault, &seen.worker))
        };
        Synced { worker, result: result.await }
    });
    let synced = future::join_all(work).await;
    let mut ledger = Ledger::read(session);
    for one in &synced {
        match &one.result {
            Ok(_) => ledger.of(&one.worker).succeeded(&target.version),
            Err(fault) if absent.contains(&one.worker) => {
                ledger.of(&one.worker).error = session.without_secrets_text(&fault.chain());
            }
            Err(fault) => ledger.of(&one.worker).failed(&session.without_secrets_text(&fault.chain())),
        }
    }
    if let Err(fault) = ledger.write(session) {
        session.say(Level::Warning, fault.chain());
    }
    synced
}

/// Brings one worker all the way; where that fails it is as before.
pub(super) async fn bring(
    session: &Session<'_>,
    target: &Target,
    worker: &Worker,
    step: u32,
    from: ImagesFrom,
) -> Result<()> {
    let seen = see(session, worker, Some(target)).await;
    let there = seen.there.map_err(|absent| absent.fault)?;
    let missing = target.images.iter().zip(&there.images).filter(|(_, id)| id.is_none());
    let lacks: Vec<_> = missing.map(|(image, _)| image).collect();
    stage(session, target, worker, &lacks, step, from).await?;
    let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(()) };
    let agent_name = target.agent_name(&worker.name);
    let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
    match agent.switch(&there.remote, target.patience(), session.site.fleet.confirm).await? {
        Switched::Up => agent.confirm(&there.remote, "always").await,
        Switched::Back(log) => {
            agent.revert(&there.remote).await?;
            let last = log.last().map(|line| format!("; its last word: {line}")).unwrap_or_default();
            Err(Fault::new(format!("its new agent does not come up{last}"))
                .hint(format!("xr worker logs {}", worker.name)))
        }
    }
}
