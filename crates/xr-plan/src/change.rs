//! What has to happen to each service.

use std::collections::{BTreeMap, BTreeSet};

use xr_model::{ContainerState, Desired, Observed, Service};

use crate::planner::is_on;

/// What has to happen to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It runs as it should.
    Keep,
    /// Its containers are right but do not run.
    Wake,
    /// It has no containers.
    Create,
    /// Its definition or its image changed, or what runs is not what was recorded.
    Replace,
}

/// The change of every desired service that is not left out, by name.
pub fn changes(desired: &Desired, observed: &Observed) -> BTreeMap<String, Change> {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    let users = users_of_restored(desired, observed);
    for service in wanted(desired) {
        let borrows_from_changed =
            service.tied_to.iter().any(|name| matches!(changes.get(name), Some(Change::Replace | Change::Create)));
        let loses_its_network = observed.of(&service.name).any(|container| is_on(container, &desired.remade_networks));
        let anew = borrows_from_changed || loses_its_network || users.contains(service.name.as_str());
        let change = match change_of(service, desired, observed) {
            Change::Keep | Change::Wake if anew => Change::Replace,
            change => change,
        };
        changes.insert(service.name.clone(), change);
    }
    changes
}

/// The services that may use data that are put back: those that need, directly or not, one whose data they are, and those that
/// reach it on a network without saying that they need it, but for other databases. They must not run meanwhile, nor go on
/// with what they remember of other data.
pub(crate) fn users_of_restored<'a>(desired: &'a Desired, observed: &Observed) -> BTreeSet<&'a str> {
    if desired.restores.is_empty() {
        return BTreeSet::new();
    }
    let restored = |name: &str| desired.restores.iter().any(|restore| restore.service == name);
    let networks = |name: &str| -> BTreeSet<String> {
        observed.of(name).flat_map(|container| &container.networks).map(|place| place.network.clone()).collect()
    };
    let reachable: BTreeSet<String> = desired.restores.iter().flat_map(|restore| networks(&restore.service)).collect();
    let mut users = BTreeSet::new();
    for service in wanted(desired).filter(|s| !restored(&s.name)) {
        let mut below =
            service.depends_on.iter().map(|d| d.service.as_str()).chain(service.tied_to.iter().map(String::as_str));
        let needs = below.any(|name| restored(name) || users.contains(name));
        // What is on the host's network reaches every container.
        let reaches = service.host_network || !networks(&service.name).is_disjoint(&reachable);
        if needs || (reaches && !service.is_database()) {
            users.insert(service.name.as_str());
        }
    }
    users
}

/// The desired services that are not left out, dependencies first.
pub(crate) fn wanted(desired: &Desired) -> impl Iterator<Item = &Service> {
    desired.services.iter().filter(|s| s.replicas > 0 && !desired.left_out.contains(&s.name))
}

fn change_of(service: &Service, desired: &Desired, observed: &Observed) -> Change {
    let containers: Vec<_> = observed.of(&service.name).collect();
    if containers.is_empty() {
        return Change::Create;
    }
    let same_definition = desired.previous_specs.get(&service.name) == Some(&service.definition());
    let pinned = desired.images.iter().find(|image| image.services.contains(&service.name));
    let local = pinned.and_then(|pinned| observed.local(pinned));
    let same_image = match (pinned, local) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(local)) => containers.iter().all(|c| c.image_id == local.id),
    };
    let same_count = u32::try_from(containers.len()) == Ok(service.replicas);
    // A compose that was killed has left it under another name.
    let same_name = containers.iter().all(|container| container.own_name() == container.name);
    let in_place = containers.iter().all(|container| service.misplaced(container).is_none());
    if !(same_definition && same_image && same_count && same_name && in_place) {
        return Change::Replace;
    }
    let up = containers.iter().all(|c| match c.state {
        ContainerState::Running => true,
        ContainerState::Exited(0) => service.is_a_job(&desired.services, &desired.ended),
        _ => false,
    });
    if up { Change::Keep } else { Change::Wake }
}
