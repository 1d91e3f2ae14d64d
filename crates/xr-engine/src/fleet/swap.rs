//! A worker's agent is replaced, and the fleet's word is kept: all of it, or none.

use futures_util::future;
use xr_model::{Away, Fault, Level, Result, Worker};
use xr_session::{Failure, World};
use xr_worker_bootstrap::{Agent, Switched};

use super::{
    Target,
    observe::{self, named},
    part::AGAIN,
    target::agent_name,
};
use crate::actions::Run;

/// What is known of a worker after its switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The new agent is up.
    Up,
    /// The old one serves again, and why.
    Back(String, Vec<String>),
    /// It does not answer any more.
    Lost(String),
}

/// Switches one worker. `must` says whether the run fails when it does.
pub(crate) async fn switch(run: &Run<'_, '_>, worker: &str, must: bool) -> std::result::Result<(), Failure> {
    let world = run.world;
    let target = run.fleet()?;
    if run.fates.borrow().contains_key(worker) {
        // It was lost, or left out, while it was staged, which was told.
        return Ok(());
    }
    let _turn = world.turn().await;
    let fate = one(world, target, worker).await?;
    run.fates.borrow_mut().insert(worker.to_owned(), fate.clone());
    settle(world, worker, fate, must)
}

async fn one(world: &World<'_>, target: &Target, name: &str) -> Result<Fate> {
    let worker = world.worker(name)?;
    let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(Fate::Up) };
    let agent_name = target.agent_name(name);
    let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
    let (patience, confirm) = (target.patience(), world.site.fleet.confirm);
    again(world, worker, async || {
        let remote = observe::reach(world, worker).await.map_err(|absent| absent.fault)?;
        agent.switch(&remote, patience, confirm).await
    })
    .await
}

/// Asks; where the rule is to wait for a worker that is away, again and again for a while.
async fn again(world: &World<'_>, worker: &Worker, ask: impl AsyncFn() -> Result<Switched>) -> Result<Fate> {
    let rule = &world.site.fleet;
    let begun = std::time::Instant::now();
    loop {
        match ask().await {
            Ok(Switched::Up) => return Ok(Fate::Up),
            Ok(Switched::Back(log)) => return Ok(Fate::Back("its new agent does not come up".to_owned(), log)),
            Err(_) if rule.away == Away::Wait && begun.elapsed() < rule.wait && !world.cancel.is_raised() => {
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = world.cancel.raised() => {}
                }
            }
            Err(fault) => return Ok(Fate::Lost(named(fault, worker).chain())),
        }
    }
}

fn settle(world: &World<'_>, worker: &str, fate: Fate, must: bool) -> std::result::Result<(), Failure> {
    let (why, log, lost) = match fate {
        Fate::Up => return Ok(()),
        Fate::Back(why, log) => (format!("worker {worker}: {why}"), log, false),
        Fate::Lost(why) => (why, Vec::new(), true),
    };
    let tolerated = if lost { world.site.fleet.away == Away::Skip } else { !must };
    if tolerated {
        let later = "goes back by itself, and catches up later";
        world.say(Level::Warning, format!("{why} (worker {worker} {later})"));
        return Ok(());
    }
    let hint = format!("xr worker logs {worker}");
    Err(Failure { fault: Fault::new(why).hint(hint), service: Some(format!("worker {worker}")), log })
}

/// Asks all switched workers once more; so many must have the new agent up.
pub(crate) async fn verify(run: &Run<'_, '_>, needed: usize) -> std::result::Result<(), Failure> {
    let world = run.world;
    let target = run.fleet()?;
    let up: Vec<String> = {
        let fates = run.fates.borrow();
        fates.iter().filter(|(_, fate)| **fate == Fate::Up).map(|(name, _)| name.clone()).collect()
    };
    let asked = future::join_all(up.iter().map(async |name| {
        let worker = world.worker(name)?;
        let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(Fate::Up) };
        let agent_name = target.agent_name(name);
        let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
        again(world, worker, async || {
            let remote = observe::reach(world, worker).await.map_err(|absent| absent.fault)?;
            agent.verify(&remote).await
        })
        .await
    }));
    for (name, fate) in up.iter().zip(asked.await) {
        let fate = match fate? {
            Fate::Back(_, log) => Fate::Back("its new agent did not stay up".to_owned(), log),
            other => other,
        };
        run.fates.borrow_mut().insert(name.clone(), fate);
    }
    let fates = run.fates.borrow().clone();
    let count = |wanted: fn(&Fate) -> bool| fates.values().filter(|fate| wanted(fate)).count();
    let up = count(|fate| *fate == Fate::Up);
    let lost = count(|fate| matches!(fate, Fate::Lost(_)));
    let all = world.site.fleet.quorum == xr_model::Quorum::All;
    // With `skip` a worker that is cut off in the middle is one that is away.
    let excused = if all && world.site.fleet.away == Away::Skip { lost } else { 0 };
    let unchanged = run.prepared.observed.fleet.len().saturating_sub(fates.len());
    if up + unchanged + excused >= needed {
        return Ok(());
    }
    let guilty = fates
        .iter()
        .find(|(_, fate)| matches!(fate, Fate::Back(..)))
        .or_else(|| fates.iter().find(|(_, fate)| **fate != Fate::Up));
    let Some((name, fate)) = guilty else {
        return Err(Fault::new(format!("{up} workers have the new version, and {needed} must")).into());
    };
    settle(world, name, fate.clone(), true)?;
    Err(Fault::new(format!("{up} workers have the new version, and {needed} must")).into())
}

/// Lets a worker's new agent stay. What cannot be told now is made good later: the worker goes back by itself.
pub(crate) async fn confirm(world: &World<'_>, target: &Target, name: &str) -> Result<()> {
    let worker = world.worker(name)?;
    let Some((_, fingerprint)) = target.agent(worker)? else { return Ok(()) };
    let agent_name = target.agent_name(name);
    let _turn = world.turn().await;
    let remote = observe::reach(world, worker).await.map_err(|absent| absent.fault)?;
    let agent = Agent { name: &agent_name, fingerprint: &fingerprint };
    agent.confirm(&remote, "always").await.map_err(|fault| named(fault, worker))
}

/// The same as a step of a run: one that did not come up has nothing to confirm.
pub(crate) async fn confirm_switched(run: &Run<'_, '_>, name: &str) -> std::result::Result<(), Failure> {
    if run.fates.borrow().get(name) != Some(&Fate::Up) {
        return Ok(());
    }
    let confirmed = confirm(run.world, run.fleet()?, name).await;
    if let Err(fault) = &confirmed {
        run.fates.borrow_mut().insert(name.to_owned(), Fate::Lost(fault.chain()));
    }
    Ok(confirmed?)
}

/// The old agent of a worker serves, and nothing waits beside it.
///
/// # Errors
/// When the worker is not reached or its engine refuses.
pub(crate) async fn revert(world: &World<'_>, stack: &str, name: &str) -> Result<()> {
    // One that was taken out of the list meanwhile is nobody's any more.
    let Ok(worker) = world.worker(name) else { return Ok(()) };
    let _turn = world.turn().await;
    let remote = observe::reach(world, worker).await.map_err(|absent| absent.fault)?;
    let agent = agent_name(stack, name);
    Agent { name: &agent, fingerprint: "" }.revert(&remote).await.map_err(|fault| named(fault, worker))
}
