//! Finishing what a killed run began: forward when it was already recorded, back otherwise.

use std::{cell::RefCell, time::Duration};

use futures_util::future;
use xr_journal::{ChildrenLock, Journal, PastRun, Reserve, unfinished};
use xr_model::{Action, Fault, Level, Outcome, Record, Result, Verdict};
use xr_session::{Failure, Session, now};

use crate::{
    actions::{
        nature::{AfterRecord, nature},
        remove_old, restore,
    },
    blocker::blocker,
    orphans, unwind,
};

/// How long what a killed run had started may still be at work, before it is asked to end and before it is made to.
const ORPHANS: Duration = Duration::from_secs(30);

/// What recovery did.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The run that had not ended.
    pub run: String,
    /// How it has ended now.
    pub outcome: Outcome,
}

/// Ends an unfinished run, when there is one, and removes what killed writes have left. The caller holds the lock.
///
/// # Errors
/// When the journal cannot be read or the engine does not answer; the run then stays unfinished.
pub async fn recover(session: &Session<'_>) -> Result<Option<Recovery>> {
    xr_release::leftovers::remove(session);
    let Some(past) = unfinished(&session.home)? else { return Ok(None) };
    session
        .say(Level::Warning, format!("the {} begun at {} did not end; finishing it", past.plan.kind.as_str(), past.at));
    let home = session.home.clone();
    // What the killed run had started (compose) may still be making containers.
    let orphans = tokio::task::spawn_blocking(move || ChildrenLock::wait_for_orphans(&home, ORPHANS));
    orphans.await.map_err(Fault::at("a thread died"))??;
    let _children = ChildrenLock::share(&session.home)?;
    Reserve::of(&session.home).give_up_if_needed();
    let journal = RefCell::new(Journal::open(&session.home, &past.id)?);
    let recorded = past.plan.steps().find(|step| matches!(step.action, Action::Record { .. }));
    let pointed = session.generations.current()?.is_some_and(|g| g.number == past.plan.generation)
        && past.plan.from != Some(past.plan.generation);
    let forward =
        recorded.is_some_and(|step| past.done.contains(&step.id) || (past.started.contains(&step.id) && pointed));
    let ended = if forward { finish(session, &past).await } else { back(session, &past, &journal).await };
    let (verdict, why) = match ended {
        Ok(verdict) => (verdict, None),
        Err(fault) => match blocker(session).await {
            Some(blocker) => return Err(session.without_secrets(fault).hint(blocker)),
            // Tried again it would fail again, and everything that could mend it would be refused for ever.
            None => (Verdict::Degraded, Some(session.without_secrets(fault))),
        },
    };
    let (serving, generation) = match verdict {
        Verdict::Changed => (Some(past.plan.version.clone()), Some(past.plan.generation)),
        Verdict::Degraded => (None, None),
        // Taken back to a stack that was stopped before.
        Verdict::Failed if past.plan.touches_the_stack(&past.started) => (None, past.plan.from),
        _ => (past.plan.from_version.clone(), past.plan.from),
    };
    let outcome = Outcome {
        verdict,
        command: past.plan.kind,
        from: past.plan.from_version.clone(),
        to: Some(past.plan.version.clone()),
        serving,
        generation,
        changes: Vec::new(),
        elapsed_ms: 0,
        cause: Some("the run was killed; it was finished later".to_owned()),
        service: None,
        log: Vec::new(),
        hint: why.map(|fault| format!("undoing it failed: {}; xr doctor", fault.chain())),
        undo: None,
        problems: Vec::new(),
        try_later: false,
    };
    let ended = Record::RunEnded { at: now(), outcome: outcome.clone() };
    journal.borrow_mut().append(&ended).map_err(|fault| Fault {
        message: format!("the {} is ended, but that cannot be noted: {}", past.plan.kind.as_str(), fault.message),
        ..fault
    })?;
    Ok(Some(Recovery { run: past.id, outcome }))
}

async fn finish(session: &Session<'_>, past: &PastRun) -> Result<Verdict> {
    confirm_workers(session, past).await?;
    for after in past.plan.steps().filter_map(|step| nature(&step.action).after_record) {
        match after {
            AfterRecord::RemoveOld(swaps) => {
                remove_old::act(session, swaps).await.map_err(|failure| failure.fault)?;
            }
            AfterRecord::DropAside(restored) => {
                let manifest = xr_stack::load(&xr_session::root_of(session, past.plan.generation))?.manifest;
                let project = session.generations.read(past.plan.generation)?.invocation.project;
                let dropped = restore::drop_aside(session, &project, &manifest, restored).await;
                if let Err(failure) = dropped {
                    session.say(Level::Warning, failure.fault.chain());
                }
            }
            // All at once, above.
            AfterRecord::ConfirmWorker(_) => {}
        }
    }
    Ok(Verdict::Changed)
}

/// The new agents may stay. One that cannot be told goes back by itself, and catches up later.
async fn confirm_workers(session: &Session<'_>, past: &PastRun) -> Result<()> {
    let after = past.plan.steps().filter_map(|step| nature(&step.action).after_record);
    let workers: Vec<&str> = after
        .filter_map(|after| match after {
            AfterRecord::ConfirmWorker(worker) => Some(worker),
            AfterRecord::RemoveOld(_) | AfterRecord::DropAside(_) => None,
        })
        .collect();
    if workers.is_empty() {
        return Ok(());
    }
    let generation = session.generations.read(past.plan.generation)?;
    let target = match xr_workers::Target::of(session, &generation).await {
        Ok(target) => target,
        Err(fault) => {
            session.say(Level::Warning, format!("{} (xr worker sync)", fault.chain()));
            return Ok(());
        }
    };
    let confirmed = workers.into_iter().map(async |worker| {
        if let Err(fault) = xr_workers::confirm(session, &target, worker).await {
            session.say(Level::Warning, format!("{} (xr worker sync {worker})", fault.chain()));
        }
    });
    future::join_all(confirmed).await;
    Ok(())
}

async fn back(session: &Session<'_>, past: &PastRun, journal: &RefCell<Journal>) -> Result<Verdict> {
    let project = project(session, past)?;
    orphans::end(session, past, &project).await?;
    if !past.plan.touches_the_stack(&past.started) {
        unwind::unload_untouched(session, &past.plan, &past.started, &project).await;
        return Ok(Verdict::Failed);
    }
    let_stops_end(session, past).await?;
    let cause = past.unwinding.clone().unwrap_or_else(|| "the run was killed".to_owned());
    let failure = Failure::from(Fault::new(cause));
    unwind::unwind(session, journal, &past.id, &past.plan, &past.started, &project, &failure).await
}

/// A stop that the killed run asked for goes on in the engine. A start in the meantime would find the container still
/// running, do nothing, and be followed by its end.
async fn let_stops_end(session: &Session<'_>, past: &PastRun) -> Result<()> {
    let half_done = |step: &&xr_model::Step| past.started.contains(&step.id) && !past.done.contains(&step.id);
    for step in past.plan.steps().filter(half_done) {
        let (swap, grace) = match &step.action {
            Action::SwitchOver { swap, drain, .. } | Action::Restart { swap, drain, .. } => (swap, *drain),
            Action::StopOld { swap } => (swap, None),
            _ => continue,
        };
        for old in &swap.old {
            session.engine.stop_within(&old.id, grace).await?;
        }
    }
    Ok(())
}

/// The compose project of the run: its generation was never recorded, so another one or its containers tell.
fn project(session: &Session<'_>, past: &PastRun) -> Result<String> {
    if let Some(from) = past.plan.from {
        return Ok(session.generations.read(from)?.invocation.project);
    }
    let staged = xr_session::root_of(session, past.plan.generation);
    let stack = xr_stack::load(&staged)?;
    let env = xr_session::parse_env(&stack.layout.env_path())?.unwrap_or_default();
    let files = xr_release::settings::compose_files(&stack.layout, &env, xr_model::Mode::Production);
    Ok(xr_stack::Compose::new(&stack.layout, &files, &[]).resolve(&session.root, &stack.manifest)?.project)
}
