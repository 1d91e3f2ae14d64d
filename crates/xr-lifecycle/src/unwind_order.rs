//! The order of the undo.

use std::collections::BTreeSet;

use xr_model::{Action, Plan, Step, StepId};

use crate::actions::nature::nature;

/// The begun steps in the order in which they are undone: in reverse, but for two things. The files come first, because an
/// old container that is started reads them. And what was stopped for the sake of its data is started as it was at the
/// beginning, dependencies first: a proxy that finds no server does not stay up.
pub(crate) fn order<'a>(plan: &'a Plan, started: &BTreeSet<StepId>) -> Vec<&'a Step> {
    let swap = plan.steps().find(|step| matches!(step.action, Action::SwapData { .. })).map(|step| step.id);
    let remake = plan.steps().find(|step| matches!(step.action, Action::RemakeNetworks { .. })).map(|step| step.id);
    let before = |step: &Step, at: Option<StepId>| at.is_some_and(|at| step.id < at);
    let stops =
        |step: &&Step| matches!(step.action, Action::StopOld { .. }) && (before(step, swap) || before(step, remake));
    let stopped: BTreeSet<&str> = plan.steps().filter(stops).filter_map(service).collect();
    let files = |step: &&Step| matches!(step.action, Action::SwitchFiles { .. });
    // Before the users of the data are started, what they use is: the database itself may be an old container again.
    let others = |step: &&Step| service(step).is_some_and(|service| !stopped.contains(service));
    let begun = || plan.steps().filter(|step| started.contains(&step.id));
    let mut order: Vec<&Step> = begun().filter(files).collect();
    order.extend(begun().rev().filter(others));
    let rest = || begun().rev().filter(|step| !files(step) && !others(step) && !stops(step));
    if remake.is_some() {
        // They start on their networks, which are there once the new containers have left those that took their names.
        order.extend(rest());
        order.extend(begun().filter(stops));
    } else {
        order.extend(begun().filter(stops));
        order.extend(rest());
    }
    order
}

/// Whose containers a step starts or stops.
fn service(step: &Step) -> Option<&str> {
    nature(&step.action).service
}

#[cfg(test)]
mod tests {
    use super::*;
    use xr_model::{Restore, RunKind, Stage, Swap};

    fn swap(service: &str) -> Swap {
        Swap { service: service.to_owned(), old: vec![], replicas: 1, container_name: None }
    }

    fn over(service: &str) -> Action {
        Action::SwitchOver { swap: swap(service), detach: vec![], drain: None }
    }

    fn undone(actions: Vec<Action>) -> Vec<String> {
        let number = |(at, action)| Step { id: StepId(at as u32 + 1), action };
        let steps: Vec<Step> = actions.into_iter().enumerate().map(number).collect();
        let started: BTreeSet<StepId> = steps.iter().map(|step| step.id).collect();
        let version = "v1.0.0".parse().unwrap();
        let stages = vec![Stage { name: String::new(), steps }];
        let plan = Plan {
            kind: RunKind::Rollback,
            from: Some(2),
            from_version: None,
            generation: 1,
            version,
            kept: vec![],
            stages,
        };
        order(&plan, &started).iter().map(|step| step.action.title()).collect()
    }

    #[test]
    fn steps_are_undone_in_reverse_after_the_files() {
        let files = Action::SwitchFiles { generation: 1, commit: None };
        let create = Action::CreateContainers { swaps: vec![swap("server"), swap("proxy")] };
        let actions = vec![files, create, Action::Start { swap: swap("server") }, over("proxy")];
        assert_eq!(
            undone(actions),
            ["switch tree, VERSION and .env", "switch proxy over", "start server", "create server, proxy"]
        );
    }

    #[test]
    fn what_was_stopped_for_its_data_is_started_dependencies_first_and_after_the_database() {
        let restore = Restore {
            index: 0,
            name: "dump".to_owned(),
            dump: String::new(),
            taken_at: String::new(),
            size: 0,
            service: "db".to_owned(),
            container: String::new(),
        };
        let stop = |service| Action::StopOld { swap: swap(service) };
        let create = Action::CreateContainers { swaps: vec![swap("db"), swap("server"), swap("proxy")] };
        let swap_data = Action::SwapData { restore };
        let begun = vec![create, stop("server"), stop("proxy"), swap_data, over("db"), over("server"), over("proxy")];
        assert_eq!(
            undone(begun),
            [
                "switch db over",
                "stop old server",
                "stop old proxy",
                "switch proxy over",
                "switch server over",
                "put back the data of dump",
                "create db, server, proxy",
            ]
        );
    }

    #[test]
    fn who_stood_on_a_network_that_is_made_anew_starts_once_it_is_there_again() {
        let stop = |service| Action::StopOld { swap: swap(service) };
        let remake = Action::RemakeNetworks { networks: vec![], places: vec![] };
        let create = Action::CreateContainers { swaps: vec![swap("db"), swap("web")] };
        let undone = undone(vec![stop("web"), stop("db"), remake, create, over("db"), over("web"), over("other")]);
        let at = |title: &str| undone.iter().position(|one| one == title).unwrap();
        assert_eq!(at("switch other over"), 0);
        assert!(at("create db, web") < at("remove network  for its new definition"));
        assert!(at("remove network  for its new definition") < at("stop old web"));
    }
}
