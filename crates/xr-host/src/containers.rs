//! Containers: what they are, and the small calls an update is made of. Each call is ensure-shaped.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use bollard::{
    container::LogOutput,
    models::{
        ContainerInspectResponse, ContainerStateStatusEnum, ContainerUpdateBody, EndpointSettings, HealthStatusEnum,
        PortMap, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
        RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt, future};
use xr_model::{Attachment, Container, ContainerState, Fault, Health, Port, Result};

use crate::{
    engine::{Engine, is_status},
    exec::HealthTest,
    networks::asked,
};

/// [The engine's own](https://docs.docker.com/reference/dockerfile/#healthcheck).
const RETRIES: u32 = 3;
/// What the engine takes where a check does not say how often it is asked.
const INTERVAL: Duration = Duration::from_secs(30);
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const FOLDER: &str = "com.docker.compose.project.working_dir";
const ONE_OFF: &str = "com.docker.compose.oneoff";
pub(crate) const CONFIG_HASH: &str = "com.docker.compose.config-hash";

impl Engine {
    /// All containers of a compose project, one-off ones left out, by name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>> {
        let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        let ids = listed.into_iter().filter(|c| {
            !c.labels.as_ref().and_then(|l| l.get(ONE_OFF)).is_some_and(|v| v.eq_ignore_ascii_case("true"))
        });
        let inspected =
            future::join_all(ids.filter_map(|c| c.id).map(|id| async move { self.inspect(&id).await })).await;
        let mut found: Vec<ContainerInspectResponse> =
            inspected.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        if !found.iter().all(runs) {
            self.leave_removed_networks(&mut found).await?;
        }
        let mut containers: Vec<Container> = found.into_iter().map(describe).collect();
        containers.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        Ok(containers)
    }

    /// What does not run goes on naming networks that somebody has removed meanwhile, and cannot be started on them.
    async fn leave_removed_networks(&self, containers: &mut [ContainerInspectResponse]) -> Result<()> {
        let there = self.network_ids().await?;
        let places = containers.iter_mut().filter_map(|one| one.network_settings.as_mut()?.networks.as_mut());
        for places in places {
            places.retain(|_, at| at.network_id.as_ref().is_none_or(|id| id.is_empty() || there.contains(id)));
        }
        Ok(())
    }

    /// The services of a compose project that have a running container: one call, nothing inspected.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn running_services(&self, project: &str) -> Result<BTreeSet<String>> {
        let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
        let options = ListContainersOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        Ok(listed.into_iter().filter_map(|c| c.labels?.remove(SERVICE)).collect())
    }

    /// One container by id or name; `None` when there is none.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn container(&self, id: &str) -> Result<Option<Container>> {
        Ok(self.inspect(id).await?.map(describe))
    }

    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>> {
        match self.docker.inspect_container(id, None::<InspectContainerOptions>).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(Fault::new(format!("cannot inspect container {id}")).because(error)),
        }
    }

    /// The container's own health check.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn health_test(&self, id: &str) -> Result<HealthTest> {
        let check = self.inspect(id).await?.and_then(|c| c.config?.healthcheck).unwrap_or_default();
        let test = check.test.filter(|test| test.first().is_none_or(|first| first != "NONE")).unwrap_or_default();
        let retries = check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|retries| *retries > 0);
        let time = |nanoseconds: Option<i64>| {
            Duration::from_nanos(nanoseconds.and_then(|some| u64::try_from(some).ok()).unwrap_or_default())
        };
        let interval = Some(time(check.interval)).filter(|interval| !interval.is_zero()).unwrap_or(INTERVAL);
        let start_period = time(check.start_period);
        Ok(HealthTest { argv: test, retries: retries.unwrap_or(RETRIES), interval, start_period })
    }

    /// A container's environment and working folder, to find programs and files in it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn surroundings(&self, id: &str) -> Result<(Vec<String>, String)> {
        let config = self.inspect(id).await?.and_then(|c| c.config).unwrap_or_default();
        Ok((config.env.unwrap_or_default(), config.working_dir.unwrap_or_default()))
    }

    /// Starts a container; one that runs is left alone.
    ///
    /// # Errors
    /// The engine's reason, e.g. a port that is taken.
    pub async fn start(&self, id: &str) -> Result<()> {
        match self.docker.start_container(id, None).await {
            Err(error) if !is_status(&error, 304) => {
                Err(Fault::new(format!("cannot start container {}", short(id))).because(error))
            }
            _ => Ok(()),
        }
    }

    /// Stops a container, killing it after `grace` (its own grace period when none); one that is stopped or gone is left alone.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<()> {
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(grace) = grace {
            options = options.t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX));
        }
        let options = options.build();
        let mut stopped = self.docker.stop_container(id, Some(options.clone())).await;
        if stopped.as_ref().is_err_and(|error| error.to_string().contains("is paused")) {
            // What is frozen hears no signal.
            self.unpause(id).await?;
            stopped = self.docker.stop_container(id, Some(options)).await;
        }
        match stopped {
            Err(error) if !is_status(&error, 304) && !is_status(&error, 404) => {
                Err(Fault::new(format!("cannot stop container {}", short(id))).because(error))
            }
            _ => Ok(()),
        }
    }

    /// Lets a frozen container go on; one that is not frozen or gone is left alone.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn unpause(&self, id: &str) -> Result<()> {
        match self.docker.unpause_container(id).await {
            Err(error) if !is_status(&error, 404) && !error.to_string().contains("is not paused") => {
                Err(Fault::new(format!("cannot unpause container {}", short(id))).because(error))
            }
            _ => Ok(()),
        }
    }

    /// Stops a container with its own stop signal, killing it when it has not ended within `drain`.
    ///
    /// The engine's own grace period has whole seconds; a port's holder is given less.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn stop_within(&self, id: &str, drain: Option<Duration>) -> Result<()> {
        let Some(drain) = drain else { return self.stop(id, None).await };
        let mut stopping = std::pin::pin!(self.stop(id, None));
        match tokio::time::timeout(drain, &mut stopping).await {
            Ok(stopped) => stopped,
            Err(_) => {
                let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
                // It may have ended by itself just now; whether it is down is what `stop` answers.
                let _ = self.docker.kill_container(id, Some(options)).await;
                stopping.await
            }
        }
    }

    /// Sets when the engine starts a container by itself, in compose's spelling; nothing when it is so or is gone.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn set_restart(&self, id: &str, restart: &str) -> Result<()> {
        let (name, times) = restart.split_once(':').unwrap_or((restart, "0"));
        let name = name.parse().unwrap_or(RestartPolicyNameEnum::NO);
        let policy = RestartPolicy { name: Some(name), maximum_retry_count: times.parse().ok() };
        let body = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
        match self.docker.update_container(id, body).await {
            Err(error) if !is_status(&error, 404) => {
                Err(Fault::new(format!("cannot set the restart policy of container {}", short(id))).because(error))
            }
            _ => Ok(()),
        }
    }

    /// Renames a container; `Ok` when it already has the name.
    ///
    /// # Errors
    /// When the name is taken.
    pub async fn rename(&self, id: &str, name: &str) -> Result<()> {
        if self.container(id).await?.is_some_and(|c| c.name == name) {
            return Ok(());
        }
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.docker
            .rename_container(id, options)
            .await
            .map_err(Fault::at(format!("cannot rename container {} to {name}", short(id))))
    }

    /// Removes a container, running or not, and with `volumes` those that the engine made for it alone. One that is gone is
    /// fine.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn remove(&self, id: &str, volumes: bool) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(volumes).build();
        match self.docker.remove_container(id, Some(options)).await {
            // 409: a removal is under way already.
            Err(error) if !is_status(&error, 404) && !is_status(&error, 409) => {
                Err(Fault::new(format!("cannot remove container {}", short(id))).because(error))
            }
            _ => Ok(()),
        }
    }

    /// The last `lines` lines of a container's log, both streams.
    pub async fn log_tail(&self, id: &str, lines: usize) -> Vec<String> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut stream = std::pin::pin!(self.docker.logs(id, Some(options)));
        let mut text = Vec::new();
        while let Some(Ok(chunk)) = stream.next().await {
            text.extend_from_slice(&LogOutput::into_bytes(chunk));
        }
        let text = String::from_utf8_lossy(&text);
        let mut tail: Vec<String> =
            text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect();
        tail.split_off(tail.len().saturating_sub(lines))
    }
}

/// Whether this is the beginning of an id as the engine gives it to a container for a name and an alias. `db` may begin an id
/// as well.
pub(crate) fn is_short_id(name: &str, id: &str) -> bool {
    name.len() >= SHORT && id.starts_with(name)
}

/// Digits of a short id.
const SHORT: usize = 12;

pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn runs(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.status == Some(ContainerStateStatusEnum::RUNNING))
}

fn describe(found: ContainerInspectResponse) -> Container {
    let id = found.id.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let label = |name: &str| config.labels.as_ref().and_then(|l| l.get(name)).cloned().unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let status = match state.status {
        Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => ContainerState::Exited(state.exit_code.unwrap_or(0)),
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        _ => ContainerState::Dead,
    };
    let health = match state.health.and_then(|h| h.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        _ => Health::None,
    };
    let (networks, held) = found.network_settings.map_or((None, None), |n| (n.networks, n.ports));
    let networks = networks.unwrap_or_default();
    let assigned = networks.values().flat_map(|at| [&at.ip_address, &at.global_ipv6_address]);
    let mut addresses: Vec<IpAddr> = assigned.filter_map(|address| address.as_deref()?.parse().ok()).collect();
    addresses.sort();
    let attachments = networks.into_iter().map(|(network, at)| Attachment {
        // An address of the engine's own making is not asked for again.
        settings: serde_json::to_value(EndpointSettings { mac_address: None, ..asked(&at) }).unwrap_or_default(),
        container: id.clone(),
        network,
        aliases: at.aliases.unwrap_or_default().into_iter().filter(|alias| !is_short_id(alias, &id)).collect(),
        ipv4: at.ipam_config.and_then(|ipam| ipam.ipv4_address).filter(|address| !address.is_empty()),
    });
    let mounts = crate::mounts::of(found.mounts, found.host_config.as_ref(), config.volumes.as_ref());
    let mut networks: Vec<_> = attachments.collect();
    networks.sort_by(|a, b| a.network.cmp(&b.network));
    // What it holds while it runs; what it asks for when it does not, of a range the first.
    let mut ports = described(held);
    if ports.is_empty() {
        ports = described(found.host_config.as_ref().and_then(|h| h.port_bindings.clone()));
    }
    let policy = found.host_config.and_then(|h| h.restart_policy);
    let restart = policy.map_or_else(String::new, |policy| match (policy.name, policy.maximum_retry_count) {
        (Some(RestartPolicyNameEnum::ON_FAILURE), Some(times)) if times > 0 => format!("on-failure:{times}"),
        (Some(name), _) => name.to_string(),
        (None, _) => String::new(),
    });
    let restarts_by_itself = !matches!(restart.as_str(), "" | "no");
    Container {
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        service: label(SERVICE),
        folder: label(FOLDER),
        number: label(NUMBER).parse().unwrap_or(0),
        config_hash: label(CONFIG_HASH),
        image: config.image.clone().unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        state: status,
        health,
        restarts: if restarts_by_itself { u64::try_from(found.restart_count.unwrap_or(0)).unwrap_or(0) } else { 0 },
        restart,
        started_at: state.started_at.map(|at| at.to_string()).unwrap_or_default(),
        networks,
        addresses,
        ports,
        mounts,
        id,
    }
}

fn described(bindings: Option<PortMap>) -> Vec<Port> {
    let mut ports = Vec::new();
    for (target, hosts) in bindings.unwrap_or_default() {
        let (target, protocol) = target.split_once('/').unwrap_or((target.as_str(), "tcp"));
        for host in hosts.unwrap_or_default() {
            let first = host.host_port.as_deref().and_then(|port| port.split('-').next()?.parse().ok());
            if let (Ok(target), Some(published)) = (target.parse(), first) {
                let host_ip = host.host_ip.unwrap_or_default();
                ports.push(Port { host_ip, published, until: None, target, protocol: protocol.to_owned() });
            }
        }
    }
    ports.sort_by(|a, b| (a.published, &a.host_ip).cmp(&(b.published, &b.host_ip)));
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_happens_to_begin_the_id_is_no_short_id() {
        let id = "db0123456789abcdef";
        assert!(!is_short_id("db", id) && !is_short_id("cache", id) && is_short_id("db0123456789", id));
    }
}
