//! What must hold of every plan. A plan that breaks a rule is not executed.

mod data;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use xr_model::{Action, Desired, Plan, RunKind, Step};

/// Broken rules, one sentence each; empty for a sound plan. Runs in a constant number of passes: a plan can hold 100,000 workers.
pub fn lint(plan: &Plan, desired: &Desired) -> Vec<String> {
    let mut broken = Vec::new();
    let steps: Vec<_> = plan.steps().collect();
    let position = |wanted: fn(&Action) -> bool| steps.iter().position(|step| wanted(&step.action));
    let last = |wanted: fn(&Action) -> bool| steps.iter().rposition(|step| wanted(&step.action));

    if steps.windows(2).any(|pair| pair[0].id >= pair[1].id) {
        broken.push("step numbers do not rise".to_owned());
    }
    let first_touch = position(Action::touches_the_stack);
    if let (Some(touch), Some(pull)) = (first_touch, last(|a| !a.touches_the_stack()))
        && touch < pull
    {
        broken.push("the stack is touched before everything is pulled and backed up".to_owned());
    }
    let record = position(|a| matches!(a, Action::Record { .. }));
    let restarts = plan.kind == RunKind::Restart;
    if restarts && steps.iter().any(|step| !is_of_a_restart(&step.action)) {
        broken.push("a restart does more than restart and wait".to_owned());
    }
    broken.extend(unawaited(&steps));
    match record {
        // A restart changes no generation.
        None if !steps.is_empty() && !restarts => broken.push("the generation is never recorded".to_owned()),
        Some(record) => {
            let proof = last(|a| {
                matches!(
                    a,
                    Action::AwaitHealthy { .. } | Action::SmokeCheck | Action::Settle { .. } | Action::RunHook { .. }
                )
            });
            if proof.is_some_and(|proof| proof > record) {
                broken.push("the generation is recorded before it is proven healthy".to_owned());
            }
            if position(|a| matches!(a, Action::RemoveOld { .. })).is_some_and(|removal| removal < record) {
                broken.push("old containers are removed before the new generation is recorded".to_owned());
            }
        }
        None => {}
    }

    broken.extend(out_of_order(&steps, desired, restarts));
    broken.extend(data::rules(&steps));
    broken.extend(workers::rules(&steps));

    let mut created = BTreeSet::new();
    let mut started = BTreeSet::new();
    for step in &steps {
        match &step.action {
            Action::CreateContainers { swaps } => created.extend(swaps.iter().map(|swap| swap.service.as_str())),
            Action::Start { swap } | Action::SwitchOver { swap, .. } => {
                if !created.contains(swap.service.as_str()) {
                    broken.push(format!("{} is started before it is created", swap.service));
                }
                if !started.insert(swap.service.as_str()) {
                    broken.push(format!("{} is started twice", swap.service));
                }
                let service = desired.services.iter().find(|s| s.name == swap.service);
                let beside = matches!(&step.action, Action::Start { swap } if swap.old.iter().any(|c| c.is_running()));
                if beside && service.is_some_and(|s| !s.may_run_beside(&swap.old)) {
                    broken.push(format!("two of {} would run, which owns data, a port or a name", swap.service));
                }
            }
            _ => {}
        }
    }
    for service in created.difference(&started) {
        broken.push(format!("{service} is created and never started"));
    }
    broken
}

fn is_of_a_restart(action: &Action) -> bool {
    matches!(action, Action::Restart { .. } | Action::AwaitHealthy { .. })
}

/// Services that are started, and that nobody waits for afterwards.
fn unawaited(steps: &[&Step]) -> Vec<String> {
    let mut begun: BTreeSet<&str> = BTreeSet::new();
    for step in steps {
        match &step.action {
            Action::Start { swap } | Action::SwitchOver { swap, .. } | Action::Restart { swap, .. } => {
                begun.insert(&swap.service);
            }
            Action::AwaitHealthy { service, .. } => {
                begun.remove(service.as_str());
            }
            _ => {}
        }
    }
    begun.into_iter().map(|service| format!("{service} is started, and nobody waits for it")).collect()
}

/// Services that are started before something they need and that is started too.
fn out_of_order(steps: &[&Step], desired: &Desired, restarts: bool) -> Vec<String> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        match &step.action {
            Action::Start { swap } | Action::SwitchOver { swap, .. } => first.entry(&swap.service).or_insert(at),
            // What else is restarted serves meanwhile.
            Action::Restart { swap, .. } if restarts => first.entry(&swap.service).or_insert(at),
            _ => continue,
        };
    }
    let begins = |name: &str| first.get(name);
    let pairs =
        desired.services.iter().flat_map(|s| s.depends_on.iter().map(move |d| (s.name.as_str(), d.service.as_str())));
    pairs
        .filter(|(above, below)| matches!((begins(above), begins(below)), (Some(above), Some(below)) if above < below))
        .map(|(above, below)| format!("{above} is started before {below}, which it needs"))
        .collect()
}
