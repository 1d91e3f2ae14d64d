//! A container made again, as compose would have made it where it cannot: under a name that is taken, or with the volumes of
//! the one that it replaces.

use std::collections::HashMap;

use bollard::{
    models::{
        ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig, Mount as EngineMount, MountType,
        NetworkingConfig,
    },
    query_parameters::CreateContainerOptionsBuilder,
};
use xr_model::{Fault, Mount, MountKind, Result};

use crate::{
    containers::{CONFIG_HASH, is_short_id, short},
    engine::Engine,
    mounts::plain,
    networks::asked,
};

/// What a twin has that the container does not have which it is made from.
#[derive(Clone, Copy, Debug)]
pub struct Twin<'a> {
    /// Its name.
    pub name: &'a str,
    /// Compose's configuration hash; none to keep that of the container.
    pub hash: Option<&'a str>,
    /// What it has in place of volumes of its own.
    pub inherits: &'a [Mount],
}

impl Engine {
    /// Makes a stopped twin of the container `id`, which was never started, and removes that one. Gives the twin's id.
    ///
    /// Compose cannot create a second container of a service with a fixed name, and gives one that is created beside another
    /// volumes of its own. xr has it create the container all the same and makes this twin of it, with the hash that compose
    /// expects, so that a later `docker compose up` agrees with it.
    ///
    /// # Errors
    /// When `id` is gone or the name is taken.
    pub async fn make_twin(&self, id: &str, twin: &Twin<'_>) -> Result<String> {
        let gone = || Fault::new(format!("container {} is gone", short(id)));
        let found = self.inspect(id).await?.ok_or_else(gone)?;
        let (body, later) = body(found, twin)?.ok_or_else(gone)?;
        let options = CreateContainerOptionsBuilder::new().name(twin.name).build();
        let created = self
            .docker
            .create_container(Some(options), body)
            .await
            .map_err(Fault::at(format!("cannot create container {}", twin.name)))?;
        for (network, settings) in later {
            self.connect_with(&network, &created.id, settings).await?;
        }
        self.remove(id, true).await?;
        Ok(created.id)
    }
}

/// A request to create a container, and the networks to put it on afterwards.
type Request = (ContainerCreateBody, Vec<(String, EndpointSettings)>);

fn body(found: ContainerInspectResponse, twin: &Twin<'_>) -> Result<Option<Request>> {
    let id = found.id.unwrap_or_default();
    let Some(config) = found.config else { return Ok(None) };
    let mut body: ContainerCreateBody = serde_json::to_value(&config)
        .and_then(serde_json::from_value)
        .map_err(Fault::at(format!("cannot read the configuration of container {}", short(&id))))?;
    if let Some(hash) = twin.hash {
        body.labels.get_or_insert_default().insert(CONFIG_HASH.to_owned(), hash.to_owned());
    }
    body.host_config = found.host_config.map(|host| inheriting(host, twin.inherits));
    let mode = body.host_config.as_ref().and_then(|h| h.network_mode.clone()).unwrap_or_default();
    // The engine fills the host name with the short id, or with the host's own, unless one is set.
    if mode == "host" || body.hostname.as_deref().is_some_and(|host| is_short_id(host, &id)) {
        body.hostname = None;
    }
    if mode.starts_with("container:") {
        // Whoever borrows a network has neither a host name nor ports of its own; the engine refuses them.
        (body.hostname, body.domainname, body.exposed_ports) = (None, None, None);
    }
    let old_name = found.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let networks = found.network_settings.and_then(|n| n.networks).unwrap_or_default();
    let mut endpoints: Vec<(String, EndpointSettings)> = networks
        .into_iter()
        .map(|(network, at)| {
            let asked = asked(&at);
            let aliases = at.aliases.map(|all| {
                let kept = all.into_iter().filter(|alias| !is_short_id(alias, &id));
                kept.map(|alias| if alias == old_name { twin.name.to_owned() } else { alias }).collect()
            });
            (network, EndpointSettings { aliases, ..asked })
        })
        .collect();
    // An engine before API 1.44 takes one network at creation; the others are connected after it.
    endpoints.sort_by_key(|(network, _)| *network != mode);
    let later = endpoints.split_off(endpoints.len().min(1));
    body.networking_config =
        (!endpoints.is_empty()).then(|| NetworkingConfig { endpoints_config: Some(HashMap::from_iter(endpoints)) });
    Ok(Some((body, later)))
}

/// The same with these mounts in the places of those that had no name.
fn inheriting(mut host: HostConfig, inherits: &[Mount]) -> HostConfig {
    if inherits.is_empty() {
        return host;
    }
    let taken = |target: &str| inherits.iter().any(|mount| plain(&mount.target) == plain(target));
    let mut mounts = host.mounts.take().unwrap_or_default();
    mounts.retain(|mount| !mount.target.as_deref().is_some_and(taken));
    mounts.extend(inherits.iter().map(|mount| EngineMount {
        typ: Some(if mount.kind == MountKind::Bind { MountType::BIND } else { MountType::VOLUME }),
        source: Some(mount.source.clone()),
        target: Some(mount.target.clone()),
        read_only: Some(!mount.writable),
        ..Default::default()
    }));
    host.mounts = Some(mounts);
    if let Some(binds) = &mut host.binds {
        binds.retain(|bind| bind.contains(':') || !taken(bind));
    }
    host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_the_volumes_of_the_container_that_it_replaces() {
        let unnamed =
            EngineMount { typ: Some(MountType::VOLUME), target: Some("/compose".to_owned()), ..Default::default() };
        let host = HostConfig {
            binds: Some(vec!["conf:/conf".to_owned(), "/bare".to_owned()]),
            mounts: Some(vec![unnamed]),
            ..Default::default()
        };
        let old = |target: &str, source: &str, writable| Mount {
            kind: MountKind::AnonymousVolume,
            source: source.to_owned(),
            target: target.to_owned(),
            writable,
        };
        let inherits = [old("/compose/", "f00", true), old("/bare", "f01", true), old("/image", "f02", false)];
        let host = inheriting(host, &inherits);
        assert_eq!(host.binds.unwrap(), ["conf:/conf"]);
        let mounts: Vec<_> = host
            .mounts
            .unwrap()
            .into_iter()
            .map(|mount| (mount.target.unwrap(), mount.source.unwrap(), mount.read_only.unwrap()))
            .collect();
        let wanted = [("/compose/", "f00", false), ("/bare", "f01", false), ("/image", "f02", true)];
        assert_eq!(mounts, wanted.map(|(target, source, read)| (target.to_owned(), source.to_owned(), read)));
    }
}
