//! Does every service run, and is it well?

use std::time::Duration;

use xr_compose::health::UP_AGAIN;
use xr_model::{Container, ContainerState, Health, Service};

use crate::{
    facts::Facts,
    finding::{Finding, Fix},
};

/// Restarts that are no accident any more.
const MANY: u64 = 3;
/// Since the last start, what counts as "just now".
const RECENT: Duration = Duration::from_secs(600);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if facts.containers.is_err() {
        return Vec::new();
    }
    // Without a generation and without a container nothing was installed, which is said elsewhere.
    if facts.current().is_none() && facts.all_containers().is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for service in facts.expected() {
        let containers: Vec<&Container> = facts.of(&service.name).collect();
        let wanted = service.replicas as usize;
        if containers.len() < wanted {
            let evidence = if containers.is_empty() {
                "has no container".to_owned()
            } else {
                format!("has {} of {wanted} containers", containers.len())
            };
            found.push(Finding::problem("container.missing", &service.name, evidence).command("xr start"));
        } else if containers.len() > wanted {
            let mut best = containers.clone();
            best.sort_by_key(|c| (std::cmp::Reverse(worth(facts, service, c)), c.number));
            let extra = best.iter().skip(wanted).map(|c| c.name.as_str()).collect::<Vec<_>>();
            let evidence = format!("has {} containers instead of {wanted}", containers.len());
            found.push(
                Finding::warning("container.extra", &service.name, evidence)
                    .command(format!("docker rm -f {}", extra.join(" "))),
            );
        }
        found.extend(containers.iter().map(|container| state(facts, service, container)));
        let misplaced = |container: &&Container| {
            let what = service.misplaced(container)?;
            Some(Finding::problem("container.place", &container.name, what).command("xr start"))
        };
        found.extend(containers.iter().filter_map(misplaced));
    }
    found
}

/// What speaks for keeping this one of several: the right image first, then that it runs and is well.
fn worth(facts: &Facts, service: &Service, container: &Container) -> (bool, bool, bool) {
    let pinned = facts.current().and_then(|g| g.images.iter().find(|image| image.services.contains(&service.name)));
    let right = pinned.is_some_and(|pinned| facts.runs(container, pinned) == Some(true));
    (right, container.is_running(), !matches!(container.health, Health::Unhealthy | Health::Starting))
}

/// Between two generations only one thing counts: whether something of every service runs, old or new.
pub(super) fn anything_serves(facts: &Facts) -> Vec<Finding> {
    if facts.containers.is_err() {
        return Vec::new();
    }
    let runs = |service: &Service| facts.all_containers().iter().any(|c| c.service == service.name && c.is_running());
    let silent: Vec<&Service> = facts.expected().iter().filter(|s| !ends_by_itself(facts, s) && !runs(s)).collect();
    if silent.is_empty() {
        return vec![Finding::info("container.serves", "services", "an old or a new container of each runs")];
    }
    let told = silent.into_iter().map(|service| {
        let finding =
            Finding::problem("container.serves", &service.name, "no container of it runs, neither old nor new");
        finding.command("xr doctor --fix")
    });
    told.collect()
}

fn state(facts: &Facts, service: &Service, container: &Container) -> Finding {
    let check = "container.state";
    let name = container.name.as_str();
    let words = facts.last_words.get(&container.id).map(Vec::as_slice).unwrap_or_default();
    let logs = || format!("docker logs --tail 50 {name}");
    let stopped = |evidence: String| {
        let finding = Finding::problem(check, name, evidence).log(words).command("xr start");
        let fix = Fix::StartContainer { id: container.id.clone(), name: name.to_owned() };
        if facts.current().is_some() { finding.fix(fix) } else { finding }
    };
    match container.state {
        ContainerState::Exited(0) if ends_by_itself(facts, service) => Finding::info(check, name, "done (exit code 0)"),
        ContainerState::Exited(code) => stopped(format!("stopped (exit code {code})")),
        ContainerState::Created => stopped("was never started".to_owned()),
        ContainerState::Dead => {
            Finding::problem(check, name, "is dead").log(words).command(format!("docker rm -f {name} && xr start"))
        }
        ContainerState::Paused => Finding::problem(check, name, "is paused").command(format!("docker unpause {name}")),
        ContainerState::Restarting => {
            let evidence = format!("crashes and is restarted again and again ({} times)", container.restarts);
            Finding::problem(check, name, evidence).log(words).command(logs())
        }
        ContainerState::Running if container.health == Health::Unhealthy => {
            Finding::problem(check, name, "runs, but its own check fails").log(words).command(logs())
        }
        // Until then the engine itself does not call its start a success.
        ContainerState::Running
            if container.restarts > 0
                && container.health != Health::Healthy
                && started_within(facts, container, UP_AGAIN) =>
        {
            let times = container.restarts;
            let evidence = format!("has just been started again after a crash ({times} times by now)");
            Finding::problem(check, name, evidence).log(words).command(logs())
        }
        ContainerState::Running if container.restarts >= MANY && started_within(facts, container, RECENT) => {
            let evidence = format!("was restarted {} times, last at {}", container.restarts, container.started_at);
            Finding::warning(check, name, evidence).log(words).command(logs())
        }
        ContainerState::Running => {
            let health = match container.health {
                Health::Healthy => "running, healthy",
                Health::Starting => "running, its check has no verdict yet",
                _ => "running",
            };
            Finding::info(check, name, health)
        }
    }
}

fn ends_by_itself(facts: &Facts, service: &Service) -> bool {
    let ended = facts.current().map(|generation| generation.ended.as_slice()).unwrap_or_default();
    service.may_be_done(facts.expected(), ended)
}

fn started_within(facts: &Facts, container: &Container, time: Duration) -> bool {
    container
        .started_at
        .parse::<jiff::Timestamp>()
        .is_ok_and(|at| facts.now.saturating_sub(at.as_second()) < time.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use xr_model::NetworkPlace;

    use super::{super::testing::*, *};

    #[test]
    fn each_state_has_its_word() {
        use ContainerState::*;
        let running = (Running, Health::Healthy, 0);
        for ((state, health, restarts), restart, expect, fixed) in [
            (running, "always", "ok container.state", false),
            ((Running, Health::Starting, 0), "always", "ok container.state", false),
            ((Running, Health::Unhealthy, 0), "always", "problem container.state", false),
            ((Running, Health::None, 9), "always", "warning container.state", false),
            ((Restarting, Health::None, 9), "always", "problem container.state", false),
            ((Exited(137), Health::None, 0), "always", "problem container.state", true),
            ((Exited(0), Health::None, 0), "always", "problem container.state", true),
            ((Exited(0), Health::None, 0), "no", "problem container.state", true),
            ((Exited(1), Health::None, 0), "no", "problem container.state", true),
            ((Created, Health::None, 0), "always", "problem container.state", true),
            ((Paused, Health::None, 0), "always", "problem container.state", false),
            ((Dead, Health::None, 0), "always", "problem container.state", false),
        ] {
            let facts = changed(|f| {
                let one = container(f, 0);
                (one.state, one.health, one.restarts) = (state, health, restarts);
                generation(f).services[0].restart = restart.into();
                let id = container(f, 0).id.clone();
                f.last_words.insert(id, vec!["boom".into()]);
            });
            let found = check(&facts);
            assert_eq!(format!("{} {}", found[0].word(), found[0].check), expect, "{state:?}");
            assert_eq!(found[0].fix.is_some(), fixed, "{state:?}");
        }
    }

    #[test]
    fn what_has_just_crashed_is_a_problem_though_it_runs_at_this_moment() {
        let at = |seconds: i64, health| {
            let facts = changed(|f| {
                let started = jiff::Timestamp::from_second(f.now - seconds).unwrap().to_string();
                let one = container(f, 0);
                (one.health, one.restarts, one.started_at) = (health, 1, started);
            });
            words(&check(&facts))[0].clone()
        };
        assert_eq!(at(3, Health::None), "problem container.state");
        assert_eq!(at(3, Health::Healthy), "ok container.state");
        assert_eq!(at(30, Health::None), "ok container.state");
    }

    #[test]
    fn a_container_off_its_network_is_a_problem() {
        let facts = changed(|f| {
            let place = NetworkPlace { network: "orbit_default".into(), ipv4: None };
            generation(f).services[0].networks.push(place);
        });
        assert_eq!(words(&check(&facts))[1], "problem container.place");
    }

    #[test]
    fn what_had_ended_by_itself_before_is_done() {
        let facts = changed(|f| {
            container(f, 0).state = ContainerState::Exited(0);
            let generation = generation(f);
            generation.services[0].restart = "no".into();
            generation.ended = vec![generation.services[0].name.clone()];
        });
        assert_eq!(words(&check(&facts))[0], "ok container.state");
    }

    #[test]
    fn too_few_and_too_many_containers_are_told() {
        let none = changed(|f| f.containers.as_mut().unwrap().truncate(1));
        assert_eq!(words(&check(&none)), ["ok container.state", "problem container.missing"]);
        let twice = changed(|f| {
            let mut second = container(f, 0).clone();
            (second.id, second.name) = ("c9".into(), "orbit-server-2".into());
            f.containers.as_mut().unwrap().push(second);
        });
        let found = check(&twice);
        assert_eq!(words(&found)[0], "warning container.extra");
        assert_eq!(found[0].command.as_deref(), Some("docker rm -f orbit-server-2"));
        let stranger_first = changed(|f| {
            let mut second = container(f, 0).clone();
            (second.id, second.name, second.number) = ("c9".into(), "orbit-server-2".into(), 2);
            container(f, 0).image_id = "sha256:other".into();
            f.containers.as_mut().unwrap().push(second);
        });
        assert_eq!(check(&stranger_first)[0].command.as_deref(), Some("docker rm -f orbit-server-1"));
    }

    #[test]
    fn between_two_generations_an_old_container_is_as_good_as_a_new_one() {
        let retired = |f: &mut Facts| container(f, 0).name = "orbit-server-1-xr-old".into();
        assert_eq!(words(&anything_serves(&changed(retired))), ["ok container.serves"]);
        let down = changed(|f| {
            retired(f);
            container(f, 0).state = ContainerState::Exited(1);
        });
        assert_eq!(words(&anything_serves(&down)), ["problem container.serves"]);
    }

    #[test]
    fn nothing_is_said_of_containers_that_could_not_be_seen_or_were_never_installed() {
        let unseen = changed(|f| f.containers = Err(crate::Trouble { message: "down".into(), hint: None }));
        assert_eq!(check(&unseen), []);
        let nothing = changed(|f| {
            f.history.current = Ok(None);
            f.containers = Ok(vec![]);
        });
        assert_eq!(check(&nothing), []);
    }
}
