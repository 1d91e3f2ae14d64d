//! What must hold of every plan. A plan that breaks a rule is not executed.

use std::collections::BTreeSet;

use xr_model::{Action, Desired, Plan, Step};

/// Broken rules, one sentence each; empty for a sound plan.
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
    match record {
        None if !steps.is_empty() => broken.push("the generation is never recorded".to_owned()),
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

    broken.extend(out_of_order(&steps, desired));
    broken.extend(data_at_risk(&steps, record));

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
                if beside && service.is_some_and(|s| !s.may_run_beside()) {
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

/// Data that would be put back without a way back, under somebody's hands, or thrown away too soon.
fn data_at_risk(steps: &[&Step], record: Option<usize>) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let before = |wanted: &dyn Fn(&Action) -> bool| steps[..at].iter().any(|step| wanted(&step.action));
        match &step.action {
            Action::LoadDump { restore }
                if !before(&|a| matches!(a, Action::Backup { index, .. } if *index == restore.index)) =>
            {
                broken.push(format!("{} is put back without a backup of the present data", restore.name));
            }
            Action::SwapData { restore } => {
                if !before(&|a| matches!(a, Action::LoadDump { restore: loaded } if loaded == restore)) {
                    broken.push(format!("{} is put back before it is loaded", restore.name));
                }
                if before(&|a| matches!(a, Action::Start { .. } | Action::SwitchOver { .. } | Action::Restart { .. })) {
                    broken.push(format!("{} is put back after something new was started", restore.name));
                }
            }
            Action::DropAside { restore } if record.is_none_or(|record| at < record) => {
                broken.push(format!("what {} replaced is thrown away before the generation is recorded", restore.name));
            }
            _ => {}
        }
    }
    broken
}

/// Services that are started before something they need and that is started too.
fn out_of_order(steps: &[&Step], desired: &Desired) -> Vec<String> {
    let begins = |name: &str| {
        steps.iter().position(|step| match &step.action {
            Action::Start { swap } | Action::SwitchOver { swap, .. } => swap.service == name,
            _ => false,
        })
    };
    let pairs =
        desired.services.iter().flat_map(|s| s.depends_on.iter().map(move |d| (s.name.as_str(), d.service.as_str())));
    pairs
        .filter(|(above, below)| matches!((begins(above), begins(below)), (Some(above), Some(below)) if above < below))
        .map(|(above, below)| format!("{above} is started before {below}, which it needs"))
        .collect()
}
