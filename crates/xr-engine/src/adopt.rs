//! A stack that ran under plain `docker compose` before its first install: what of it is kept.

use std::collections::BTreeMap;

use xr_model::{Observed, Service};
use xr_stack::Compose;

use crate::{World, staging, staging::Staged};

/// The definitions of services whose containers compose made from just these files and settings: nothing of them has to be
/// made anew. There is no generation that could tell, so compose's own hash does.
pub(crate) fn specs(
    world: &World<'_>,
    staged: &Staged,
    services: &[Service],
    observed: &Observed,
) -> BTreeMap<String, String> {
    if observed.containers.is_empty() {
        return BTreeMap::new();
    }
    let layout = staged.stack.layout.under(&staging::root_of(world, staged.number));
    // Without an answer everything is replaced, which is always right.
    let hashes = Compose::of(&layout, &staged.invocation).hashes_under(&world.root).unwrap_or_default();
    same(services, observed, &hashes)
}

fn same(services: &[Service], observed: &Observed, hashes: &[(String, String)]) -> BTreeMap<String, String> {
    let is_as_staged = |service: &&Service| {
        let hash = hashes.iter().find(|(name, _)| *name == service.name).map(|(_, hash)| hash);
        // The hash tells nothing of the files that a container mounts, nor whether it has read them since they changed.
        service.content.is_empty()
            && observed.of(&service.name).next().is_some()
            && observed.of(&service.name).all(|container| Some(&container.config_hash) == hash)
    };
    services.iter().filter(is_as_staged).map(|service| (service.name.clone(), service.definition())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xr_model::{Container, ContainerState, Health};
    use xr_stack::{Manifest, Resolved};

    use super::*;

    fn container(service: &str, hash: &str) -> Container {
        Container {
            id: format!("id-{service}"),
            name: format!("shop-{service}-1"),
            service: service.to_owned(),
            number: 1,
            config_hash: hash.to_owned(),
            image: service.to_owned(),
            image_id: String::new(),
            state: ContainerState::Running,
            health: Health::None,
            restarts: 0,
            restart: String::new(),
            started_at: String::new(),
            networks: Vec::new(),
            ports: Vec::new(),
        }
    }

    #[test]
    fn a_container_of_the_same_hash_counts_as_recorded() {
        let names = ["db", "web", "proxy", "new"];
        let config: serde_json::Map<_, _> = names.iter().map(|n| ((*n).to_owned(), json!({"image": n}))).collect();
        let config = json!({"name": "shop", "services": config}).to_string();
        let mut services = Resolved::parse(&config, &Manifest::default()).unwrap().services;
        services.iter_mut().find(|s| s.name == "proxy").unwrap().content = "its configuration".to_owned();
        let containers = vec![container("db", "a"), container("proxy", "c"), container("web", "other")];
        let observed = Observed { containers, images: Vec::new() };
        let hashes: Vec<_> = [("db", "a"), ("web", "b"), ("proxy", "c"), ("new", "d")]
            .map(|(service, hash)| (service.to_owned(), hash.to_owned()))
            .to_vec();
        let kept = same(&services, &observed, &hashes);
        let db = services.iter().find(|s| s.name == "db").unwrap();
        assert_eq!(kept, BTreeMap::from([("db".to_owned(), db.definition())]));
        assert!(same(&services, &observed, &[]).is_empty());
    }
}
