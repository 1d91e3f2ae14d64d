//! The undo: every begun step undone in reverse, then proof that the old version serves.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use futures_util::future;
use xr_compose::health::{Expectation, await_container};
use xr_journal::{Journal, Reserve};
use xr_model::{
    Action, Container, ContainerState, Fault, Generation, Health, Level, Plan, Record, Result, Service, StepId, Swap,
    Verdict,
};
use xr_release::files;
use xr_session::{Cancel, Failure, Session};

use crate::{
    actions::{create_containers, remake_networks, restore, start, stop_old, switch_over},
    judge, smoke, unwind_order,
};

/// How long an engine that does not answer is waited for, in each round.
const ENGINE: Duration = Duration::from_secs(60);
/// How often the undo is tried.
const ROUNDS: u32 = 2;
/// How long the old containers may take to be healthy again.
const PATIENCE: Duration = Duration::from_secs(180);

/// Undoes the begun steps of a run. Every undo is ensure-shaped, so an interrupted undo is taken again from its start.
///
/// # Errors
/// When a step cannot be undone: the stack is degraded.
pub(crate) async fn unwind(
    session: &Session<'_>,
    journal: &RefCell<Journal>,
    run: &str,
    plan: &Plan,
    started: &BTreeSet<StepId>,
    project: &str,
    failure: &Failure,
) -> Result<Verdict> {
    // What went wrong was told when it did, and is told again as the cause in the end.
    session.say(Level::Warning, if failure.is_interruption() { "interrupted; undoing it" } else { "undoing it" });
    Reserve::of(&session.home).give_up_if_needed();
    // An undo is taken even when the disk refuses to note it, which is told once.
    let told = Cell::new(false);
    let note = |record: Record| {
        if let Err(fault) = journal.borrow_mut().append(&record)
            && !told.replace(true)
        {
            session.say(Level::Warning, fault.chain());
        }
    };
    note(Record::UnwindStarted { cause: failure.fault.chain() });
    let created: Vec<Swap> = plan
        .steps()
        .filter_map(|step| match &step.action {
            Action::CreateContainers { swaps } => Some(swaps.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    // An engine that was restarted under the run comes back; what failed while it was away is tried again, and so is what
    // needs something that is undone only after it.
    let mut undone = Err(Fault::new("the engine does not answer"));
    for round in 1..=ROUNDS {
        session.engine.await_answer(ENGINE).await;
        let level = if round == ROUNDS { Level::Warning } else { Level::Info };
        let say = |text: String| session.say(level, text);
        undone = undo_all(session, (&note, &say), run, plan, started, project, &created).await;
        if undone.is_ok() {
            break;
        }
    }
    undone?;
    let verdict = prove(session, plan, project, failure).await?;
    // Not before: a disk that is busy must not keep the old version from serving.
    session.sync()?;
    Ok(verdict)
}

/// Undoes every begun step; the data come first, because what is started uses them.
async fn undo_all(
    session: &Session<'_>,
    (note, say): (&dyn Fn(Record), &dyn Fn(String)),
    run: &str,
    plan: &Plan,
    started: &BTreeSet<StepId>,
    project: &str,
    created: &[Swap],
) -> Result<()> {
    let workers = take_workers_back(session, plan, started, project);
    let (data, ()) = tokio::join!(put_data_back(session, note, plan, started, project, created), workers);
    data?;
    let mut first_fault = None;
    for step in unwind_order::order(plan, started) {
        let undone = match &step.action {
            Action::Start { swap } => start::undo(session, project, swap).await,
            Action::SwitchOver { swap, detach, .. } => switch_over::undo(session, project, swap, detach, created).await,
            Action::Restart { swap, detach, .. } => {
                switch_over::undo_restart(session, project, swap, detach, created).await
            }
            Action::StopOld { swap } => stop_old::undo(session, swap).await,
            Action::CreateContainers { swaps } => create_containers::undo(session, project, swaps).await,
            Action::RemakeNetworks { networks, places } => remake_networks::undo(session, networks, places).await,
            Action::SwitchFiles { .. } => files::restore(session, run, plan),
            // All at once, below.
            Action::StageWorker { .. }
            | Action::SwitchWorker { .. }
            | Action::VerifyFleet { .. }
            | Action::ConfirmWorker { .. }
            | Action::PullImage { .. }
            | Action::Backup { .. }
            | Action::LoadDump { .. }
            | Action::SwapData { .. }
            | Action::DropAside { .. }
            | Action::TagImages { .. }
            | Action::AwaitHealthy { .. }
            | Action::RunHook { .. }
            | Action::SmokeCheck
            | Action::Settle { .. }
            | Action::Record { .. }
            | Action::RemoveOld { .. } => continue,
        };
        match undone {
            Ok(()) => note(Record::StepUndone { step: step.id }),
            // The other steps are undone all the same: the more of the old that serves, the better.
            Err(fault) => {
                say(format!("cannot undo `{}`: {}", step.action.title(), fault.chain()));
                first_fault.get_or_insert(fault);
            }
        }
    }
    for step in plan.steps().filter(|step| !started.contains(&step.id)) {
        // The engine was restarted before their turn came, with old and new beside each other.
        if let Action::SwitchOver { swap, detach, .. } | Action::Restart { swap, detach, .. } = &step.action
            && !detach.is_empty()
            && let Err(fault) = switch_over::start_afresh(session, swap).await
        {
            say(format!("cannot restart {}: {}", swap.service, fault.chain()));
            first_fault.get_or_insert(fault);
        }
    }
    first_fault.map_or(Ok(()), Err)
}

/// Every worker's old agent serves. One that does not answer goes back by itself, because nobody confirms its new agent.
pub(crate) async fn take_workers_back(session: &Session<'_>, plan: &Plan, started: &BTreeSet<StepId>, project: &str) {
    let begun: BTreeSet<&str> = plan
        .steps()
        .filter(|step| started.contains(&step.id))
        .filter_map(|step| match &step.action {
            Action::StageWorker { worker, .. } | Action::SwitchWorker { worker, .. } => Some(worker.as_str()),
            _ => None,
        })
        .collect();
    let back = begun.into_iter().map(async |worker| {
        if let Err(fault) = xr_workers::revert(session, project, worker).await {
            let text = format!("{}; it goes back by itself (xr worker sync {worker})", fault.chain());
            session.say(Level::Warning, text);
        }
    });
    future::join_all(back).await;
}

/// The data as they were, once nothing new uses them any more. When they cannot be put back the undo ends here: nothing
/// of the old is started on data of another time.
async fn put_data_back(
    session: &Session<'_>,
    note: &dyn Fn(Record),
    plan: &Plan,
    started: &BTreeSet<StepId>,
    project: &str,
    created: &[Swap],
) -> Result<()> {
    let begun = || plan.steps().filter(|step| started.contains(&step.id));
    let restored: Vec<_> = begun()
        .filter_map(|step| match &step.action {
            Action::SwapData { restore } => Some((step.id, restore)),
            _ => None,
        })
        .collect();
    let uses_them = |swap: &&Swap| !restored.is_empty() && restored.iter().all(|(_, one)| one.service != swap.service);
    for swap in created.iter().filter(uses_them) {
        start::undo(session, project, swap).await?;
    }
    unload(session, plan, started, project).await?;
    for (step, _) in restored {
        note(Record::StepUndone { step });
    }
    Ok(())
}

/// Data that were loaded are thrown away, and those that were set aside for them are in use again.
async fn unload(session: &Session<'_>, plan: &Plan, started: &BTreeSet<StepId>, project: &str) -> Result<()> {
    for step in plan.steps().filter(|step| started.contains(&step.id)) {
        if let Action::LoadDump { restore: loaded } = &step.action {
            restore::undo(session, project, plan.generation, loaded).await?;
        }
    }
    Ok(())
}

/// The same where nothing that runs was touched: what was loaded stands beside and is in nobody's way.
pub(crate) async fn unload_untouched(session: &Session<'_>, plan: &Plan, started: &BTreeSet<StepId>, project: &str) {
    take_workers_back(session, plan, started, project).await;
    if let Err(fault) = unload(session, plan, started, project).await {
        session.say(Level::Warning, format!("what was loaded cannot be thrown away: {}", fault.chain()));
    }
}

/// The old version serves: what ran before the run runs, and is healthy where it was.
async fn prove(session: &Session<'_>, plan: &Plan, project: &str, failure: &Failure) -> Result<Verdict> {
    // Before a first install a stack may have run that xr did not start: it has no generation, and has to serve again too.
    let old = plan.from.and_then(|from| session.generations.read(from).ok());
    if let Some(old) = &old {
        for image in &old.images {
            // A tag that is right is not written again: the engine's disk may be full.
            let means = session.engine.image(image.reference.as_str()).await?.is_some_and(|it| it.id == image.image_id);
            if !image.image_id.is_empty() && !means && session.engine.image(&image.image_id).await?.is_some() {
                session.engine.tag(&image.image_id, &image.reference).await?;
            }
        }
    }
    let mut was_running: Vec<_> = plan
        .steps()
        .flat_map(|step| step.action.swaps())
        .flat_map(|swap| &swap.old)
        .filter(|c| c.is_running())
        .collect();
    // A plan names a container in each step that concerns it.
    was_running.sort_by(|a, b| a.id.cmp(&b.id));
    was_running.dedup_by(|a, b| a.id == b.id);
    let waits = was_running.iter().map(|before| serves_again(session, before, project));
    future::join_all(waits).await.into_iter().collect::<Result<Vec<()>>>()?;
    match &old {
        Some(old) if !was_running.is_empty() => kept_serve(session, plan, old, project).await?,
        Some(_) => {}
        None => start_all(session, ended_meanwhile(session, plan, project).await?, project).await?,
    }
    let mut running = session.containers(project).await?;
    running.retain(Container::is_running);
    if let Some(old) = &old {
        answers_again(session, old, &running).await;
    }
    Ok(match (failure.is_interruption(), running.is_empty()) {
        (true, _) => Verdict::Interrupted,
        (false, false) => Verdict::RolledBack,
        // Stopped as it was before, or never there: back, and not healthy.
        (false, true) => Verdict::Failed,
    })
}

/// The published ports answer as they should. What has no health check of its own is as good as up once it runs, and a proxy
/// before it still says that it is gone. A port that has answered so before the run is no fault of the undo: it is told.
async fn answers_again(session: &Session<'_>, old: &Generation, running: &[Container]) {
    let manifest =
        xr_stack::load(&xr_session::root_of(session, old.number)).map(|stack| stack.manifest).unwrap_or_default();
    let runs = |service: &&Service| running.iter().any(|container| container.service == service.name);
    let services: Vec<Service> = old.services.iter().filter(runs).cloned().collect();
    if let Err(fault) = smoke::check(&Cancel::default(), &services, running, &manifest, &old.version).await {
        session.say(Level::Warning, fault.chain());
    }
}

/// What no step named runs as well: something else may have stopped it meanwhile, such as compose, which takes everything off
/// a network that it makes anew.
async fn kept_serve(session: &Session<'_>, plan: &Plan, old: &Generation, project: &str) -> Result<()> {
    let observed = session.observe(project, &old.images).await?;
    let all: Vec<&str> = observed.containers.iter().map(|container| container.id.as_str()).collect();
    let down = judge::judge(old, &observed, &[], &all).into_iter().filter_map(|wrong| wrong.container);
    // What a step named is as it was before: what the admin had stopped is none of this.
    let named = |container: &Container| plan.steps().flat_map(|step| step.action.swaps()).any(|s| s.has(&container.id));
    let down = down
        .filter(|container| !named(container))
        .filter(|container| matches!(container.state, ContainerState::Exited(_) | ContainerState::Created));
    start_all(session, down.collect(), project).await
}

/// What ran before a first install, was named by no step and runs no more. A job that has ended well has done what it is for.
async fn ended_meanwhile(session: &Session<'_>, plan: &Plan, project: &str) -> Result<Vec<Container>> {
    let mut ended = session.containers(project).await?;
    ended.retain(|container| {
        plan.kept.contains(&container.id)
            && match container.state {
                ContainerState::Exited(0) => {
                    let serves = !container.ports.is_empty() || container.health != Health::None;
                    container.is_started_again() || serves || !container.mounts.is_empty()
                }
                ContainerState::Exited(_) | ContainerState::Created => true,
                _ => false,
            }
    });
    Ok(ended)
}

/// Who borrows a network starts after its lender: what cannot start is tried again as long as others could.
async fn start_all(session: &Session<'_>, containers: Vec<Container>, project: &str) -> Result<()> {
    let mut waiting: Vec<&Container> = containers.iter().collect();
    while !waiting.is_empty() {
        let mut refused = Vec::new();
        for container in &waiting {
            if let Err(fault) = session.engine.start(&container.id).await {
                refused.push((*container, fault));
            }
        }
        if refused.len() == waiting.len() {
            return refused.into_iter().next().map_or(Ok(()), |(_, fault)| Err(fault));
        }
        waiting = refused.into_iter().map(|(container, _)| container).collect();
    }
    let serve = containers.iter().map(|container| serves_again(session, container, project));
    future::join_all(serve).await.into_iter().collect::<Result<Vec<()>>>().map(drop)
}

async fn serves_again(session: &Session<'_>, before: &Container, project: &str) -> Result<()> {
    let expect = Expectation { patience: PATIENCE, completes: false, must_run: true };
    let now = session.engine.container(&before.id).await?.filter(|now| now.service == before.service);
    let gone = || Fault::new(format!("the old container {} of {project} is gone", before.name)).hint("xr start");
    let now = now.ok_or_else(gone)?;
    if before.health == Health::Unhealthy {
        // It is as it was before the run, which is all that an undo can do.
        session.say(Level::Warning, format!("{} was not healthy before this run either", before.name));
        return if now.is_up() { Ok(()) } else { Err(gone()) };
    }
    await_container(session, &now, expect, &|| false, &Cancel::default())
        .await
        .map(drop)
        .map_err(|failure| failure.fault)
}
