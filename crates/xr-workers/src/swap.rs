//! A worker's agent is replaced, and the fleet's word is kept: all of it, or none.

use futures_util::future;
use xr_model::{Away, Fault, Level, Result, Worker};
use xr_session::{Failure, Session};
use xr_worker_bootstrap::{Agent, Switched};

use crate::{
    Target,
    membership::AGAIN,
    observe::{self, named},
    rollout::{Rollout, SwitchResult},
    target::agent_name,
};

/// Switches one worker. `must` says whether the run fails when it does.
pub async fn switch(rollout: &Rollout<'_, '_>, worker: &str, must: bool) -> std::result::Result<(), Failure> {
    let session = rollout.session;
    let target = rollout.target()?;
    if rollout.results.borrow().contains_key(worker) {
        // It was lost, or left out, while it was staged, which was told.
        return Ok(());
    }
    let _turn = session.turn().await;
    let result = one(session, target, worker).await?;
    rollout.results.borrow_mut().insert(worker.to_owned(), result.clone());
    settle(session, worker, result, must)
}

async fn one(session: &Session<'_>, target: &Target, name: &str) -> Result<SwitchResult> {
    let worker = session.worker(name)?;
    let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(SwitchResult::Up) };
    let agent_name = target.agent_name(name);
    let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
    let (patience, confirm) = (target.patience(), session.site.fleet.confirm);
    again(session, worker, async || {
        let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
        agent.switch(&remote, patience, confirm).await
    })
    .await
}

/// Asks; where the rule is to wait for a worker that is away, again and again for a while.
async fn again(
    session: &Session<'_>,
    worker: &Worker,
    ask: impl AsyncFn() -> Result<Switched>,
) -> Result<SwitchResult> {
    let rule = &session.site.fleet;
    let begun = std::time::Instant::now();
    loop {
        match ask().await {
            Ok(Switched::Up) => return Ok(SwitchResult::Up),
            Ok(Switched::Back(log)) => return Ok(SwitchResult::Back("its new agent does not come up".to_owned(), log)),
            Err(_) if rule.away == Away::Wait && begun.elapsed() < rule.wait && !session.cancel.is_raised() => {
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = session.cancel.raised() => {}
                }
            }
            Err(fault) => return Ok(SwitchResult::Lost(named(fault, worker).chain())),
        }
    }
}

fn settle(session: &Session<'_>, worker: &str, result: SwitchResult, must: bool) -> std::result::Result<(), Failure> {
    let (why, log, lost) = match result {
        SwitchResult::Up => return Ok(()),
        SwitchResult::Back(why, log) => (format!("worker {worker}: {why}"), log, false),
        SwitchResult::Lost(why) => (why, Vec::new(), true),
    };
    let tolerated = if lost { session.site.fleet.away == Away::Skip } else { !must };
    if tolerated {
        let later = "goes back by itself, and catches up later";
        session.say(Level::Warning, format!("{why} (worker {worker} {later})"));
        return Ok(());
    }
    let hint = format!("xr worker logs {worker}");
    Err(Failure { fault: Fault::new(why).hint(hint), service: Some(format!("worker {worker}")), log })
}

/// Asks all switched workers once more; so many must have the new agent up.
pub async fn verify(rollout: &Rollout<'_, '_>, needed: usize) -> std::result::Result<(), Failure> {
    let session = rollout.session;
    let target = rollout.target()?;
    let up: Vec<String> = {
        let results = rollout.results.borrow();
        results.iter().filter(|(_, result)| **result == SwitchResult::Up).map(|(name, _)| name.clone()).collect()
    };
    let asked = future::join_all(up.iter().map(async |name| {
        let worker = session.worker(name)?;
        let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(SwitchResult::Up) };
        let agent_name = target.agent_name(name);
        let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
        again(session, worker, async || {
            let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
            agent.verify(&remote).await
        })
        .await
    }));
    for (name, result) in up.iter().zip(asked.await) {
        let result = match result? {
            SwitchResult::Back(_, log) => SwitchResult::Back("its new agent did not stay up".to_owned(), log),
            other => other,
        };
        rollout.results.borrow_mut().insert(name.clone(), result);
    }
    let results = rollout.results.borrow().clone();
    let count = |wanted: fn(&SwitchResult) -> bool| results.values().filter(|result| wanted(result)).count();
    let up = count(|result| *result == SwitchResult::Up);
    let lost = count(|result| matches!(result, SwitchResult::Lost(_)));
    let all = session.site.fleet.quorum == xr_model::Quorum::All;
    // With `skip` a worker that is cut off in the middle is one that is away.
    let excused = if all && session.site.fleet.away == Away::Skip { lost } else { 0 };
    let unchanged = rollout.taking_part.saturating_sub(results.len());
    if up + unchanged + excused >= needed {
        return Ok(());
    }
    let failed_worker = results
        .iter()
        .find(|(_, result)| matches!(result, SwitchResult::Back(..)))
        .or_else(|| results.iter().find(|(_, result)| **result != SwitchResult::Up));
    let Some((name, result)) = failed_worker else {
        return Err(Fault::new(format!("{up} workers have the new version, and {needed} must")).into());
    };
    settle(session, name, result.clone(), true)?;
    Err(Fault::new(format!("{up} workers have the new version, and {needed} must")).into())
}

/// Lets a worker's new agent stay. What cannot be told now is made good later: the worker goes back by itself.
pub async fn confirm(session: &Session<'_>, target: &Target, name: &str) -> Result<()> {
    let worker = session.worker(name)?;
    let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(()) };
    let agent_name = target.agent_name(name);
    let _turn = session.turn().await;
    let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
    let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
    agent.confirm(&remote, "always").await.map_err(|fault| named(fault, worker))
}

/// The same as a step of a run: one that did not come up has nothing to confirm.
pub async fn confirm_switched(rollout: &Rollout<'_, '_>, name: &str) -> std::result::Result<(), Failure> {
    if rollout.results.borrow().get(name) != Some(&SwitchResult::Up) {
        return Ok(());
    }
    let confirmed = confirm(rollout.session, rollout.target()?, name).await;
    if let Err(fault) = &confirmed {
        rollout.results.borrow_mut().insert(name.to_owned(), SwitchResult::Lost(fault.chain()));
    }
    Ok(confirmed?)
}

/// The old agent of a worker serves, and nothing waits beside it.
///
/// # Errors
/// When the worker is not reached or its engine refuses.
pub async fn revert(session: &Session<'_>, stack: &str, name: &str) -> Result<()> {
    // One that was taken out of the list meanwhile is nobody's any more.
    let Ok(worker) = session.worker(name) else { return Ok(()) };
    let _turn = session.turn().await;
    let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
    let agent = agent_name(stack, name);
    Agent { name: &agent, fingerprint: "" }.revert(&remote).await.map_err(|fault| named(fault, worker))
}
