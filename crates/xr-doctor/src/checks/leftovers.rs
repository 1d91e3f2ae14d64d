//! Containers that a killed run left behind, and those of services that are gone.

use crate::{
    facts::{Facts, is_leftover},
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if facts.history.unfinished.is_err() {
        return Vec::new(); // they may belong to a run
    }
    let mut found = Vec::new();
    for container in facts.all_containers() {
        let remove = format!("docker rm -f {}", container.name);
        if is_leftover(&container.name) {
            let finding = Finding::warning("container.leftover", &container.name, "was left by an interrupted run")
                .command(remove);
            // A leftover that alone serves must not go.
            let replaced = facts.of(&container.service).any(|c| c.is_running());
            let fix = Fix::RemoveContainer { id: container.id.clone(), name: container.name.clone() };
            found.push(if replaced || !container.is_running() {
                finding.fix(fix)
            } else {
                finding.command("xr install")
            });
        } else if facts.current().is_some() && !facts.expected().iter().any(|s| s.name == container.service) {
            let evidence = format!("belongs to service {}, which this generation does not have", container.service);
            found.push(Finding::warning("container.orphan", &container.name, evidence).command(remove));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Unfinished;
    use xr_model::{ContainerState, RunKind};

    fn leftover(facts: &mut Facts, name: &str) {
        let mut old = container(facts, 0).clone();
        (old.id, old.name) = ("c9".into(), name.into());
        facts.containers.as_mut().unwrap().push(old);
    }

    #[test]
    fn leftovers_may_go_unless_they_alone_serve() {
        for name in ["orbit-server-1-xr-old", "0123456789ab_orbit-server-1"] {
            let found = check(&changed(|f| leftover(f, name)));
            assert_eq!((words(&found), found[0].fix.is_some()), (vec!["warning container.leftover".to_owned()], true));
            let alone = changed(|f| {
                leftover(f, name);
                container(f, 0).state = ContainerState::Exited(1);
            });
            assert_eq!(check(&alone)[0].fix, None);
        }
    }

    #[test]
    fn they_belong_to_a_run_that_has_not_ended() {
        let unfinished = Unfinished { kind: RunKind::Update, version: version("v1.1.0"), at: String::new() };
        let facts = changed(|f| {
            leftover(f, "orbit-server-1-xr-old");
            f.history.unfinished = Ok(Some(unfinished.clone()));
        });
        let found = crate::judge(&facts);
        assert!(found.iter().all(|f| f.check != "container.leftover") && words(&found)[0] == "problem run");
    }

    #[test]
    fn a_container_of_a_service_that_is_gone_is_shown_and_left_alone() {
        let facts = changed(|f| container(f, 0).service = "gone".into());
        let found = check(&facts);
        assert_eq!((words(&found), &found[0].fix), (vec!["warning container.orphan".to_owned()], &None));
    }
}
