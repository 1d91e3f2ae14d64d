//! A restart: the same containers, stopped and started again.

use xr_model::{Action, Desired, Observed, Plan, Service, Swap};

use crate::{
    layers::layers,
    planner::{Builder, Origin, await_healthy, finished},
};

/// The steps that restart the containers with these ids, layer by layer, each layer healthy before the next.
pub fn restart(desired: &Desired, observed: &Observed, origin: &Origin, ids: &[String]) -> Plan {
    let mut build = Builder::default();
    let chosen = |service: &Service| -> Vec<_> {
        observed.of(&service.name).filter(|container| ids.contains(&container.id)).cloned().collect()
    };
    for layer in layers(&desired.services) {
        let swaps: Vec<(&Service, Swap)> = layer
            .into_iter()
            .map(|service| {
                let (old, container_name) = (chosen(service), service.container_name.clone());
                (service, Swap { service: service.name.clone(), old, replicas: service.replicas, container_name })
            })
            .filter(|(_, swap)| !swap.old.is_empty())
            .collect();
        let awaited: Vec<&Service> = swaps.iter().map(|(service, _)| *service).collect();
        build.stage(
            "restart",
            swaps.into_iter().map(|(_, swap)| Action::Restart { swap, detach: Vec::new(), drain: None }),
        );
        build.stage("health", awaited.into_iter().map(|service| await_healthy(service, desired, origin)));
    }
    finished(build, desired, observed, origin)
}
