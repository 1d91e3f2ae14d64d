//! What must hold of the workers' part of a plan.

use std::collections::HashMap;

use xr_model::{Action, Step};

/// What was met of one worker so far.
#[derive(Clone, Copy, Default)]
struct Met {
    staged: bool,
    switched: bool,
    confirmed: bool,
}

/// Workers that would be switched without what they need, or too soon, or left without a word whether to stay.
pub(super) fn rules(steps: &[&Step]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut met: HashMap<&str, Met> = HashMap::new();
    // Whether a switched worker has not been asked since, whether the generation is recorded, and how many wait for a word.
    let (mut unverified, mut recorded, mut waiting) = (false, false, 0usize);
    let mut first_switched = None;
    for step in steps {
        match &step.action {
            Action::StageWorker { worker, .. } => met.entry(worker).or_default().staged = true,
            Action::SwitchWorker { worker, .. } => {
                let known = met.entry(worker).or_default();
                if !known.staged {
                    broken.push(format!("worker {worker} is switched without being staged"));
                }
                if known.switched {
                    broken.push(format!("worker {worker} is switched twice"));
                } else {
                    *known = Met { switched: true, confirmed: false, ..*known };
                    waiting += 1;
                }
                unverified = true;
                first_switched.get_or_insert(worker);
            }
            Action::VerifyFleet { .. } => unverified = false,
            Action::Record { .. } => {
                if unverified {
                    broken.push("the generation is recorded before the workers are verified".to_owned());
                }
                recorded = true;
            }
            Action::ConfirmWorker { worker } => {
                let known = met.entry(worker).or_default();
                if !known.switched {
                    broken.push(format!("worker {worker} is confirmed without being switched"));
                }
                if !recorded {
                    broken.push(format!("worker {worker} is confirmed before the generation is recorded"));
                }
                if known.switched && !known.confirmed {
                    known.confirmed = true;
                    waiting -= 1;
                }
            }
            action if proves_the_control_host(action) => {
                if let Some(worker) = first_switched {
                    broken.push(format!("worker {worker} is switched before `{}`", action.title()));
                }
            }
            _ => {}
        }
    }
    // In the plan's order, so that the same plan is refused in the same words.
    for step in steps.iter().filter(|_| waiting > 0) {
        if let Action::SwitchWorker { worker, .. } = &step.action
            && !met.get(worker.as_str()).is_some_and(|known| known.confirmed)
        {
            broken.push(format!("worker {worker} is switched and never confirmed"));
        }
    }
    broken
}

/// The control host comes first: agents of the new version talk to a server of the new version.
fn proves_the_control_host(action: &Action) -> bool {
    matches!(action, Action::AwaitHealthy { .. } | Action::SmokeCheck | Action::RunHook { .. })
}
