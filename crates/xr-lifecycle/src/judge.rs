//! Whether a stack, looked at as a whole and anew, is what its generation says. Steps prove what they did themselves; what
//! befell the others meanwhile, those that the plan kept among them, is seen here.

use xr_model::{Container, ContainerState, Generation, Health, MountKind, Observed, Service};

/// Something of a stack that is not as its generation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The service.
    pub service: String,
    /// Its container; none when there are too few or too many.
    pub container: Option<Container>,
    /// What is wrong with it.
    pub what: String,
}

/// What is wrong with the containers of a stack, `retired` ones left out. Of those that `ran` before, none may have ended but
/// what is clearly a job: somebody else may have stopped it meanwhile, such as compose, which takes everything off a network
/// that it makes anew.
pub(crate) fn judge(generation: &Generation, observed: &Observed, retired: &[&str], ran: &[&str]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for service in generation.services.iter().filter(|service| service.replicas > 0) {
        let (old, ours): (Vec<&Container>, Vec<&Container>) =
            observed.of(&service.name).partition(|container| retired.contains(&container.id.as_str()));
        if u32::try_from(ours.len()) != Ok(service.replicas) {
            let what = format!("has {} containers instead of {}", ours.len(), service.replicas);
            wrong.push(Wrong { service: service.name.clone(), container: None, what });
        }
        let pinned = generation.images.iter().find(|image| image.services.contains(&service.name));
        let local = pinned.and_then(|pinned| observed.local(pinned));
        // Those that are more than before begin with nothing.
        let more = ours.len().saturating_sub(old.len());
        let empties = ours.iter().filter(|container| empty(container, &old).is_some()).count();
        for container in ours {
            let another = local.is_some_and(|local| local.id != container.image_id);
            let may_end = if ran.contains(&container.id.as_str()) {
                service.may_be_done(&generation.services, &generation.ended)
            } else {
                may_have_ended(service, container, &generation.services)
            };
            let image = || another.then(|| "runs another image than its generation's".to_owned());
            let lost = || empty(container, &old).filter(|_| empties > more);
            let what = state(container, may_end).or_else(image).or_else(|| service.misplaced(container)).or_else(lost);
            if let Some(what) = what {
                wrong.push(Wrong { service: service.name.clone(), container: Some(container.clone()), what });
            }
        }
    }
    wrong
}

/// What is wrong with these containers of a generation, a sentence each. Their images are not looked at.
pub fn problems(generation: &Generation, containers: &[Container]) -> Vec<String> {
    let observed = Observed { containers: containers.to_vec(), ..Observed::default() };
    let named = |wrong: Wrong| match wrong.container {
        Some(container) => format!("{} ({}) {}", wrong.service, container.name, wrong.what),
        None => format!("{} {}", wrong.service, wrong.what),
    };
    judge(generation, &observed, &[], &[]).into_iter().map(named).collect()
}

/// Where a container has a volume that was made for it alone, though one that it replaces had one there already.
fn empty(container: &Container, old: &[&Container]) -> Option<String> {
    let fresh = container.mounts.iter().filter(|mount| mount.kind == MountKind::AnonymousVolume);
    let had = |target: &str| {
        let mut before = old.iter().flat_map(|old| &old.mounts).filter(|mount| mount.target == target);
        before.any(|mount| matches!(mount.kind, MountKind::Volume | MountKind::AnonymousVolume))
    };
    let lost = fresh.map(|mount| mount.target.as_str()).find(|target| had(target))?;
    Some(format!("has an empty volume at {lost} in place of the one that it had"))
}

fn state(container: &Container, may_end: bool) -> Option<String> {
    match container.state {
        ContainerState::Running if container.health == Health::Unhealthy => Some("is unhealthy".to_owned()),
        ContainerState::Running => None,
        ContainerState::Exited(0) if may_end => None,
        ContainerState::Exited(code) => Some(format!("ended with exit code {code}")),
        ContainerState::Created => Some("was never started".to_owned()),
        ContainerState::Paused => Some("is paused".to_owned()),
        ContainerState::Restarting => Some("crashes and is started again".to_owned()),
        ContainerState::Dead => Some("is dead".to_owned()),
    }
}

/// Whether a container that has ended well since it was started may have done what it is for.
pub(crate) fn may_have_ended(service: &Service, container: &Container, services: &[Service]) -> bool {
    service.may_be_done(services, &[])
        || (!container.is_started_again()
            && !service.is_published()
            && (service.health.is_none() || (service.ends && !service.serves(services))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xr_model::{Attachment, Mount};
    use xr_stack::{Manifest, Resolved};

    use super::*;

    fn generation(services: &serde_json::Value) -> Generation {
        let config = json!({"name": "shop", "services": services}).to_string();
        let services = Resolved::parse(&config, &Manifest::default()).unwrap().services;
        let generation = json!({
            "format": 1, "number": 1, "parent": null, "made_by": "install", "version": "v1.0.0", "version_id": "",
            "commit": null, "branch": null, "applied_at": "", "mode": "production",
            "invocation": {"files": [], "directory": "", "profiles": [], "left_out": [], "project": "shop"},
            "services": services, "images": [], "changes": [],
        });
        serde_json::from_value(generation).unwrap()
    }

    fn container(service: &str, state: &serde_json::Value) -> Container {
        let container = json!({
            "id": service, "name": format!("shop-{service}-1"), "service": service, "number": 1, "config_hash": "",
            "image": service, "image_id": "", "state": state, "health": "none", "restarts": 0, "started_at": "",
            "networks": [], "ports": [],
        });
        serde_json::from_value(container).unwrap()
    }

    #[test]
    fn what_does_not_run_is_wrong_but_for_a_job_and_a_kept_database_is_none() {
        let generation = generation(&json!({
            "db": {"image": "db", "volumes": [{"type": "volume", "source": "d", "target": "/d"}]},
            "job": {"image": "job"},
            "web": {"image": "web", "ports": [{"target": 80, "published": "8083", "protocol": "tcp"}]},
            "gone": {"image": "gone"},
            "none": {"image": "none", "scale": 0},
        }));
        let ended = json!({"state": "exited", "code": 0});
        let states = [("db", &ended), ("job", &ended), ("web", &ended)];
        let containers = states.map(|(service, state)| container(service, state)).to_vec();
        let observed = Observed { containers, ..Observed::default() };
        let wrong = |ran: &[&str]| -> Vec<String> {
            let wrong = judge(&generation, &observed, &[], ran);
            wrong.into_iter().map(|wrong| format!("{} {}", wrong.service, wrong.what)).collect()
        };
        let gone = "gone has 0 containers instead of 1";
        assert_eq!(wrong(&[]), [gone, "web ended with exit code 0"]);
        assert_eq!(wrong(&["db", "job"]), ["db ended with exit code 0", gone, "web ended with exit code 0"]);
    }

    #[test]
    fn a_job_with_a_check_is_done_where_the_compose_file_says_that_it_ends_and_nobody_needs_it() {
        let check = json!({"test": ["CMD", "true"]});
        let data = json!([{"type": "volume", "source": "d", "target": "/d"}]);
        let needs = json!({"needed": {"condition": "service_healthy"}});
        let generation = generation(&json!({
            "after": {"image": "job", "depends_on": {"checked": {"condition": "service_started"}}},
            "checked": {"image": "job", "restart": "no", "healthcheck": check},
            "crunch": {"image": "job", "restart": "no", "healthcheck": check, "volumes": data},
            "migrate": {"image": "acme/shop-server", "restart": "no", "volumes": data},
            "needed": {"image": "job", "restart": "no", "healthcheck": check},
            "needing": {"image": "job", "depends_on": needs},
            "often": {"image": "job", "restart": "on-failure", "healthcheck": check},
            "server": {"image": "job", "healthcheck": check},
            "postgres": {"image": "acme/own", "restart": "no", "volumes": data},
            "store": {"image": "acme/own", "restart": "no", "volumes": data},
            "tasks": {"image": "rabbitmq:4", "restart": "no", "volumes": data},
            "words": {"image": "postgres:17", "restart": "no", "volumes": data},
        }));
        let services: Vec<&str> = generation.services.iter().map(|service| service.name.as_str()).collect();
        let containers = services.iter().map(|service| container(service, &json!({"state": "exited", "code": 0})));
        let observed = Observed { containers: containers.collect(), ..Observed::default() };
        let wrong = |ran: &[&str]| -> Vec<String> {
            judge(&generation, &observed, &[], ran).into_iter().map(|wrong| wrong.service).collect()
        };
        assert_eq!(wrong(&[]), ["needed", "often", "server"]);
        // A database that ran before was stopped by somebody, whatever its restart policy says.
        assert_eq!(wrong(&services), ["needed", "often", "postgres", "server", "store", "tasks", "words"]);
    }

    #[test]
    fn what_was_made_from_another_definition_meanwhile_counts_as_changed() {
        let mut generation = generation(&json!({"db": {"image": "db"}, "web": {"image": "web"}}));
        let running = json!({"state": "running"});
        let mut containers = ["db", "web"].map(|service| container(service, &running)).to_vec();
        generation.config_hashes = Generation::hashes_of(&containers);
        assert_eq!(generation.specs_of(&containers, &[]), generation.specs());
        containers[1].config_hash = "another".to_owned();
        let specs = generation.specs_of(&containers, &[]);
        assert_eq!((specs["db"] == generation.specs()["db"], specs["web"].as_str()), (true, ""));
    }

    #[test]
    fn a_container_that_lost_its_network_its_address_or_its_data_is_wrong() {
        let config = json!({
            "name": "shop",
            "networks": {"default": {"name": "shop_default"}, "back": {"name": "back"}},
            "volumes": {"d": {"name": "shop_d"}},
            "services": {"db": {
                "image": "db", "networks": {"default": null, "back": {"ipv4_address": "10.9.0.9"}},
                "volumes": [{"type": "volume", "source": "d", "target": "/d"}],
            }},
        });
        let mut generation = generation(&json!({}));
        generation.services = Resolved::parse(&config.to_string(), &Manifest::default()).unwrap().services;
        let running = json!({"state": "running"});
        let place = |network: &str, ipv4: Option<&str>| {
            let place = json!({"container": "db", "network": network, "aliases": [], "ipv4": ipv4});
            serde_json::from_value::<Attachment>(place).unwrap()
        };
        let mount = |kind, source: &str, target: &str| Mount {
            kind,
            source: source.to_owned(),
            target: target.to_owned(),
            writable: true,
        };
        let right = || {
            let mut db = container("db", &running);
            db.networks = vec![place("shop_default", None), place("back", Some("10.9.0.9"))];
            db.mounts = vec![mount(MountKind::Volume, "shop_d", "/d/"), mount(MountKind::Volume, "f00", "/cache")];
            db
        };
        let wrong = |change: &dyn Fn(&mut Container)| {
            let (mut new, mut old) = (right(), right());
            old.id = "old".to_owned();
            change(&mut new);
            let observed = Observed { containers: vec![new, old], ..Observed::default() };
            let mut wrong = judge(&generation, &observed, &["old"], &[]);
            wrong.pop().map(|wrong| wrong.what)
        };
        assert_eq!(wrong(&|_| {}), None);
        assert_eq!(wrong(&|db| db.networks.truncate(1)).unwrap(), "is not on the network back");
        let elsewhere = |db: &mut Container| db.networks[1].ipv4 = None;
        assert_eq!(wrong(&elsewhere).unwrap(), "does not have the address 10.9.0.9 on the network back");
        assert_eq!(wrong(&|db| drop(db.mounts.remove(0))).unwrap(), "does not have the volume shop_d at /d");
        let fresh = |db: &mut Container| db.mounts[1] = mount(MountKind::AnonymousVolume, "f01", "/cache");
        assert_eq!(wrong(&fresh).unwrap(), "has an empty volume at /cache in place of the one that it had");

        // One more than before begins with nothing.
        let (mut second, mut old) = (right(), right());
        fresh(&mut second);
        second.id = "second".to_owned();
        old.id = "old".to_owned();
        generation.services[0].replicas = 2;
        let observed = Observed { containers: vec![right(), second, old], ..Observed::default() };
        assert_eq!(judge(&generation, &observed, &["old"], &[]), []);
    }
}
