//! Executing a plan: every step journalled before and after, the undo taken when one fails.

use std::{cell::RefCell, collections::BTreeSet, time::Instant};

use futures_util::future;
use xr_compose::watch;
use xr_journal::{ChildrenLock, Journal, Reserve};
use xr_model::{Action, Event, Level, Outcome, Record, Result, RunKind, Step, StepId, Verdict, exit};
use xr_release::files;
use xr_session::{Failure, Session, now};
use xr_workers::Rollout;

use crate::{
    actions::{self, Run, nature::nature},
    blocker::blocker,
    judge,
    prepare::{
        Prepared,
        checks::{self, Demand},
    },
    unwind,
};

impl Prepared {
    /// Ids of containers that are on their way out.
    pub(crate) fn retired_ids(&self) -> Vec<&str> {
        self.plan
            .steps()
            .filter_map(|step| match &step.action {
                Action::CreateContainers { swaps } => Some(swaps),
                _ => None,
            })
            .flatten()
            .flat_map(|swap| swap.old.iter().map(|old| old.id.as_str()))
            .collect()
    }

    fn outcome(&self, verdict: Verdict, begun: Instant) -> Outcome {
        let (serving, generation) = match verdict {
            Verdict::Changed | Verdict::Unchanged => (Some(self.plan.version.clone()), Some(self.plan.generation)),
            Verdict::Degraded => (None, None),
            // A stack that was stopped before is back at its version, and serves nothing.
            _ => {
                let runs = self.observed.containers.iter().any(xr_model::Container::is_running);
                (self.plan.from_version.clone().filter(|_| runs), self.plan.from)
            }
        };
        Outcome {
            verdict,
            command: self.plan.kind,
            from: self.plan.from_version.clone(),
            to: Some(self.plan.version.clone()),
            serving,
            generation,
            changes: if verdict == Verdict::Changed { self.generation.changes.clone() } else { Vec::new() },
            elapsed_ms: elapsed(begun),
            cause: None,
            service: None,
            log: Vec::new(),
            hint: None,
            undo: None,
            problems: Vec::new(),
            try_later: false,
        }
    }
}

/// Applies a prepared run and says how it ended. Never returns early: the outcome is the truth.
pub async fn apply(session: &Session<'_>, prepared: &Prepared) -> Outcome {
    let begun = Instant::now();
    if prepared.plan.is_empty() {
        return prepared.outcome(Verdict::Unchanged, begun);
    }
    let before = async {
        refuse_moved_world(session, prepared).await?;
        if checks::demand(prepared.plan.kind) != Demand::Room {
            Reserve::of(&session.home).give_up_if_needed();
        }
        let children = ChildrenLock::share(&session.home)?;
        let journal = Journal::begin(&session.home, &now(), &prepared.plan, session.xr)?;
        Ok::<_, xr_model::Fault>((journal, children))
    };
    let (journal, _children) = match before.await {
        Ok((journal, children)) => (RefCell::new(journal), children),
        Err(fault) => return failed(prepared.outcome(Verdict::Failed, begun), fault.into()),
    };
    let run = Run {
        session,
        prepared,
        id: journal.borrow().id().to_owned(),
        healthy: RefCell::default(),
        awaited: RefCell::default(),
        skipped: RefCell::default(),
        workers: Rollout::new(
            session,
            prepared.fleet.as_ref(),
            prepared.desired.fleet.as_ref(),
            prepared.observed.fleet.len(),
        ),
    };
    let mut started = BTreeSet::new();
    let (mut open, mut touched) = (false, true);
    let result = match files::save(session, &run.id, prepared.plan.generation, &prepared.env.generated) {
        Ok(()) => steps(&run, &journal, &mut started).await,
        Err(fault) => Err(fault.into()),
    };
    let mut outcome = match result {
        Ok(()) => {
            tell_of_no_hook(&run);
            run.workers.remember(prepared.plan.version.as_str());
            let mut outcome = prepared.outcome(Verdict::Changed, begun);
            outcome.undo = prepared.plan.from.map(|from| match prepared.plan.kind {
                RunKind::Rollback if !prepared.desired.restores.is_empty() => {
                    format!("xr rollback --generation {from} --restore-data")
                }
                RunKind::Rollback => format!("xr rollback --generation {from}"),
                _ => "xr rollback".to_owned(),
            });
            outcome
        }
        Err(failure) => {
            let id = journal.borrow().id().to_owned();
            touched = prepared.plan.touches_the_stack(&started);
            let verdict = if touched {
                unwind::unwind(
                    session,
                    &journal,
                    &id,
                    &prepared.plan,
                    &started,
                    prepared.generation.invocation.project.as_str(),
                    &failure,
                )
                .await
            } else {
                let project = prepared.generation.invocation.project.as_str();
                let verdict = if failure.is_interruption() { Verdict::Interrupted } else { Verdict::Failed };
                unwind::unload_untouched(session, &prepared.plan, &started, project).await;
                Ok(verdict)
            };
            let mut outcome = match verdict {
                Ok(verdict) => {
                    let back = verdict == Verdict::RolledBack;
                    let problems = if back { still_wrong(session, prepared).await } else { Vec::new() };
                    Outcome { problems, ..prepared.outcome(verdict, begun) }
                }
                Err(fault) => {
                    let fault = session.without_secrets(fault);
                    let mut outcome = prepared.outcome(Verdict::Degraded, begun);
                    let blocked = blocker(session).await;
                    // The undo is still open then, so the run does not end here.
                    open = blocked.is_some();
                    let next = blocked.unwrap_or_else(|| "xr doctor".to_owned());
                    outcome.hint = Some(format!("undoing it failed: {}; {next}", fault.chain()));
                    outcome
                }
            };
            outcome = failed(outcome, failure);
            outcome
        }
    };
    outcome.elapsed_ms = elapsed(begun);
    if open {
        return outcome;
    }
    if let Err(fault) = journal.borrow_mut().append(&Record::RunEnded { at: now(), outcome: outcome.clone() }) {
        session.say(Level::Warning, fault.chain());
    } else if !touched {
        prepared.abandon(session);
    }
    outcome
}

/// What of the version that serves again is not as it should be. Most of it was so before: an undo mends nothing.
async fn still_wrong(session: &Session<'_>, prepared: &Prepared) -> Vec<String> {
    let Some(from) = prepared.plan.from else { return Vec::new() };
    let look = async {
        let old = session.generations.read(from)?;
        let containers = session.containers(&prepared.generation.invocation.project).await?;
        Ok::<_, xr_model::Fault>(judge::problems(&old, &containers))
    };
    look.await.unwrap_or_else(|fault| vec![format!("nobody could look: {}", session.without_secrets(fault).chain())])
}

/// A product whose first-run hooks all found nothing to run is up, and may lack its tables and its first user.
fn tell_of_no_hook(run: &Run<'_, '_>) {
    let hooks: Vec<&Step> =
        run.prepared.plan.steps().filter(|step| matches!(step.action, Action::RunHook { .. })).collect();
    let skipped = run.skipped.borrow();
    if run.prepared.plan.from.is_some() || hooks.is_empty() || !hooks.iter().all(|step| skipped.contains_key(&step.id))
    {
        return;
    }
    let whys: Vec<String> =
        hooks.iter().map(|step| format!("{}: {}", step.action.title(), skipped[&step.id])).collect();
    let text =
        format!("no hook of the first run has run ({}): xr.toml says what they are, xr init shows it", whys.join("; "));
    run.session.say(Level::Warning, text);
}

/// What an admin can do about a release that does not work here.
fn other_release(command: RunKind) -> Option<String> {
    let takes = match command {
        RunKind::Install => "xr install --version VERSION",
        RunKind::Update => "xr update --to VERSION",
        RunKind::Rollback | RunKind::Start | RunKind::Restart => return None,
    };
    Some(format!("the publisher has to mend this release; {takes} takes another"))
}

fn failed(mut outcome: Outcome, failure: Failure) -> Outcome {
    outcome.cause = Some(failure.fault.chain());
    outcome.try_later = outcome.verdict == Verdict::Failed && failure.fault.code == exit::TRY_LATER;
    // The failed container is gone with the undo, and its last words are in the outcome.
    let gone = outcome.verdict == Verdict::RolledBack && failure.service.is_some();
    let other = if gone { other_release(outcome.command) } else { None };
    outcome.hint = outcome.hint.or(other).or(failure.fault.hint);
    if outcome.verdict != Verdict::Interrupted {
        // Of an engine that was restarted in between, say, only its connections told.
        outcome.hint.get_or_insert_with(|| "xr doctor".to_owned());
    }
    outcome.service = failure.service;
    outcome.log = failure.log;
    outcome
}

/// Between the plan and now nobody else may have touched the stack.
async fn refuse_moved_world(session: &Session<'_>, prepared: &Prepared) -> Result<()> {
    let now = session.containers(&prepared.generation.invocation.project).await?;
    // One that crashes again and again is between two tries at one moment and not at the next.
    let key = |c: &xr_model::Container| (c.id.clone(), c.is_up());
    let (mut was, mut is): (Vec<_>, Vec<_>) =
        (prepared.observed.containers.iter().map(key).collect(), now.iter().map(key).collect());
    was.sort();
    is.sort();
    if was == is {
        return Ok(());
    }
    Err(xr_model::Fault::new("the stack's containers changed while the plan was being shown")
        .hint(format!("xr {}", prepared.plan.kind.as_str())))
}

async fn steps(
    run: &Run<'_, '_>,
    journal: &RefCell<Journal>,
    started: &mut BTreeSet<StepId>,
) -> std::result::Result<(), Failure> {
    let of = u32::try_from(run.prepared.plan.steps().count()).unwrap_or(u32::MAX);
    for stage in &run.prepared.plan.stages {
        if run.session.cancel.is_raised() {
            return Err(Failure::interrupted());
        }
        started.extend(stage.steps.iter().map(|step| step.id));
        // All steps of a stage end before the next thing happens, also when one fails: nothing is left running.
        let ends = future::join_all(stage.steps.iter().map(|step| one(run, journal, step, of))).await;
        let mut failed: Vec<Failure> = ends.into_iter().filter_map(std::result::Result::err).collect();
        // A real cause says more than the interruption of its neighbours, and one that stays (a full disk) more than one that
        // may pass.
        failed.sort_by_key(|failure| (failure.is_interruption(), failure.fault.code == exit::TRY_LATER));
        let mut failed = failed.into_iter();
        if let Some(first) = failed.next() {
            let mut failure = deeper(run, first).await;
            let others: Vec<String> = failed
                .filter(|other| !other.is_interruption() && other.service != failure.service)
                .map(|other| format!("; also: {}", other.fault.chain()))
                .collect();
            if !others.is_empty() {
                failure.fault.message = failure.fault.chain() + &others.concat();
                failure.fault.source = None;
            }
            return Err(failure);
        }
    }
    Ok(())
}

/// A container that was healthy and has fallen since is the cause of what failed after it.
async fn deeper(run: &Run<'_, '_>, failure: Failure) -> Failure {
    if failure.is_interruption() {
        return failure;
    }
    let healthy = run.healthy.borrow().clone();
    let cause = watch::look(run.session, &healthy).await.err().filter(|cause| cause.service.is_some());
    cause.map_or(failure, |cause| run.session.failure_without_secrets(cause))
}

/// Journals, acts, journals.
pub(crate) async fn one(
    run: &Run<'_, '_>,
    journal: &RefCell<Journal>,
    step: &Step,
    of: u32,
) -> std::result::Result<(), Failure> {
    let title = step.action.title();
    let begun = Instant::now();
    note(run, journal, step, &Record::StepStarted { step: step.id })?;
    run.session.tell(Event::StepStarted { step: step.id.0, of, title: title.clone() });
    match actions::act(run, step).await {
        Ok(()) => {
            let ms = elapsed(begun);
            let skipped = run.skipped.borrow().get(&step.id).cloned();
            note(run, journal, step, &Record::StepDone { step: step.id, ms, skipped: skipped.clone() })?;
            run.session.tell(match skipped {
                Some(why) => Event::StepSkipped { step: step.id.0, title, why },
                None => Event::StepDone { step: step.id.0, title, ms },
            });
            Ok(())
        }
        Err(failure) => {
            let failure = run.session.failure_without_secrets(failure);
            let error = failure.fault.chain();
            run.session.tell(Event::StepFailed { step: step.id.0, title, error: error.clone() });
            // The failure itself matters more than its record.
            let _ = journal.borrow_mut().append(&Record::StepFailed { step: step.id, error });
            if is_recorded(run, step) {
                run.session.say(Level::Warning, failure.fault.chain());
                return Ok(());
            }
            Err(failure)
        }
    }
}

/// Journals. What cannot be noted is not done; but once the new version is recorded there is no undo, and recovery reads
/// that from the pointer as well.
fn note(run: &Run<'_, '_>, journal: &RefCell<Journal>, step: &Step, record: &Record) -> Result<()> {
    match journal.borrow_mut().append(record) {
        Err(fault) if is_recorded(run, step) => {
            run.session.say(Level::Warning, fault.chain());
            Ok(())
        }
        noted => noted,
    }
}

/// Whether the new version is the truth: the pointer has moved, even when what moved it failed just after.
fn is_recorded(run: &Run<'_, '_>, step: &Step) -> bool {
    let plan = &run.prepared.plan;
    let moved = || matches!(run.session.generations.current(), Ok(Some(serves)) if serves.number == plan.generation);
    match step.action {
        Action::Record { .. } => plan.from != Some(plan.generation) && moved(),
        _ => nature(&step.action).after_record.is_some(),
    }
}

pub(crate) fn elapsed(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
