//! A stack that ran under plain `docker compose` before its first install: what of it is kept.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

use jiff::Timestamp;
use xr_model::{Container, Generation, Observed, Result, Service};
use xr_release::{config_digest, staging::Staged};
use xr_session::Session;
use xr_stack::{Compose, Foretold};

/// What compose would do to what runs where no generation, or none that knew its networks, tells how that was defined.
pub fn foretell(
    session: &Session<'_>,
    staged: &Staged,
    current: Option<&Generation>,
    observed: &Observed,
) -> Result<Foretold> {
    if observed.containers.is_empty() || current.is_some_and(|current| !current.networks.is_empty()) {
        return Ok(Foretold::default());
    }
    let layout = staged.stack.layout.under(&xr_session::root_of(session, staged.number));
    Compose::of(&layout, &staged.invocation).foretell(&session.root)
}

/// The definitions of services whose containers compose made from just these files and settings: nothing of them has to be
/// made anew. There is no generation that could tell, so compose's own hash does.
pub fn specs(
    session: &Session<'_>,
    staged: &Staged,
    services: &[Service],
    observed: &Observed,
    foretold: &Foretold,
    tree_moves: bool,
) -> BTreeMap<String, String> {
    if observed.containers.is_empty() {
        return BTreeMap::new();
    }
    let layout = staged.stack.layout.under(&xr_session::root_of(session, staged.number));
    // Without an answer everything is replaced, which is always right.
    let hashes = Compose::of(&layout, &staged.invocation).hashes_under(&session.root).unwrap_or_default();
    // The hash tells nothing of the files that a container mounts, nor whether it has read them since they changed.
    let has_read = |service: &Service| {
        let paths = config_digest::mounts(&staged.resolved.json, &service.name, &session.root);
        service.content.is_empty()
            || (!tree_moves
                && !paths.is_empty()
                && paths.iter().all(|path| has_seen(observed, &service.name, &session.root.join(path))))
    };
    same(services, observed, &hashes, &|container| foretold.keeps(&container.name), &has_read)
}

/// Whether all containers of a service were started after the last change to a file or folder.
fn has_seen(observed: &Observed, service: &str, path: &Path) -> bool {
    let started = observed.of(service).map(|container| container.started_at.parse::<Timestamp>().ok()).min().flatten();
    started.is_some_and(|started| !changed_since(path, started.as_nanosecond() - NOTED))
}

/// How long after its first instruction a container may be noted as started, in nanoseconds.
const NOTED: i128 = 200_000_000;

/// By the time of the last change to the inode: an archive brings the other one along. What cannot be read may have changed.
fn changed_since(path: &Path, moment: i128) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return true };
    // What a link leads to is another matter, and seldom mounted.
    let changed = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    if meta.is_symlink() || changed >= moment {
        return true;
    }
    if !meta.is_dir() {
        return false;
    }
    let Ok(mut entries) = fs::read_dir(path) else { return true };
    entries.any(|entry| entry.map_or(true, |entry| changed_since(&entry.path(), moment)))
}

fn same(
    services: &[Service],
    observed: &Observed,
    hashes: &[(String, String)],
    keeps: &dyn Fn(&Container) -> bool,
    has_read: &dyn Fn(&Service) -> bool,
) -> BTreeMap<String, String> {
    let is_as_staged = |service: &&Service| {
        let hash = hashes.iter().find(|(name, _)| *name == service.name).map(|(_, hash)| hash);
        let as_wanted = |container: &Container| match service.tied_to.is_empty() {
            true => Some(&container.config_hash) == hash,
            false => keeps(container),
        };
        observed.of(&service.name).next().is_some() && observed.of(&service.name).all(as_wanted) && has_read(service)
    };
    services.iter().filter(is_as_staged).map(|service| (service.name.clone(), service.definition())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xr_model::{ContainerState, Health};
    use xr_stack::{Manifest, Resolved};

    use super::*;

    fn container(service: &str, hash: &str) -> Container {
        Container {
            id: format!("id-{service}"),
            name: format!("shop-{service}-1"),
            service: service.to_owned(),
            folder: String::new(),
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
            addresses: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
        }
    }

    #[test]
    fn a_container_of_the_same_hash_counts_as_recorded() {
        let names = ["db", "web", "proxy", "new"];
        let mut config: serde_json::Map<_, _> = names.iter().map(|n| ((*n).to_owned(), json!({"image": n}))).collect();
        config.insert("beside".to_owned(), json!({"image": "x", "network_mode": "service:db"}));
        let config = json!({"name": "shop", "services": config}).to_string();
        let services = Resolved::parse(&config, &Manifest::default()).unwrap().services;
        let containers =
            vec![container("db", "a"), container("proxy", "c"), container("web", "other"), container("beside", "e")];
        let observed = Observed { containers, images: Vec::new(), fleet: Vec::new() };
        let hashes: Vec<_> = [("db", "a"), ("web", "b"), ("proxy", "c"), ("new", "d")]
            .map(|(service, hash)| (service.to_owned(), hash.to_owned()))
            .to_vec();
        let kept = |by_compose: bool| {
            let all = same(&services, &observed, &hashes, &|_| by_compose, &|service| service.name != "proxy");
            all.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(kept(false), ["db"]);
        assert_eq!(kept(true), ["beside", "db"]);
        assert!(same(&services, &observed, &[], &|_| false, &|_| true).is_empty());
    }

    #[test]
    fn files_that_changed_after_the_start_were_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("conf");
        fs::create_dir(&below).unwrap();
        let seen = |started_at: &str, path: &Path| {
            let container = Container { started_at: started_at.to_owned(), ..container("proxy", "c") };
            has_seen(&Observed { containers: vec![container], images: Vec::new(), fleet: Vec::new() }, "proxy", path)
        };
        assert!(seen("2999-01-01T00:00:00.5Z", folder.path()));
        assert!(!seen("2001-01-01T00:00:00Z", folder.path()));
        assert!(!seen("2001-01-01T00:00:00Z", &below));
        assert!(!seen("", &below));
        assert!(!seen("2999-01-01T00:00:00Z", &folder.path().join("gone")));
    }
}
