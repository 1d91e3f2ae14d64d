//! Containers that compose knows nothing of: agents of workers, and tasks. Known by xr's labels.

use std::{collections::HashMap, time::Duration};

use bollard::{
    container::LogOutput,
    models::{ContainerCreateBody, ContainerSummary, HealthConfig, HostConfig, RestartPolicy, RestartPolicyNameEnum},
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
        LogsOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;
use xr_model::{Fault, Result};

use crate::{Engine, Said, engine::is_status};

/// The stack that a container belongs to.
pub const STACK: &str = "xr.stack";
/// `agent` or `task`.
pub const ROLE: &str = "xr.role";
/// The version that it was made for.
pub const VERSION: &str = "xr.version";
/// What it was made of, as a digest.
pub const FINGERPRINT: &str = "xr.fingerprint";

/// A container to make, beyond compose's.
#[derive(Clone, Default)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// The image: an id or a reference.
    pub image: String,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// xr's labels.
    pub labels: HashMap<String, String>,
    /// Its own check: test, interval, timeout, retries, start period.
    pub health: Option<(Vec<String>, [Duration; 3], u32)>,
    /// What it runs, and what it may do.
    pub run_options: RunOptions,
    /// Whether the engine removes it at its end.
    pub remove_at_end: bool,
}

/// What a container runs beside its image's own, and what it may see and do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunOptions {
    /// Host folders and volumes: `source:target[:ro]`.
    pub binds: Vec<String>,
    /// Instead of the image's own.
    pub command: Option<Vec<String>>,
    /// Instead of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's own.
    pub user: Option<String>,
    /// Capabilities beyond the usual.
    pub cap_add: Vec<String>,
    /// Of the usual capabilities, those that it does without.
    pub cap_drop: Vec<String>,
    /// What confines it further, as the engine takes it.
    pub security_opt: Vec<String>,
    /// Whether its own files cannot be written.
    pub read_only: bool,
    /// Whether it may do everything.
    pub privileged: bool,
    /// The network: `host`, or the engine's own.
    pub network_mode: Option<String>,
    /// `host`, when it sees the host's processes.
    pub pid_mode: Option<String>,
    /// For its `/etc/hosts`.
    pub extra_hosts: Vec<String>,
}

/// A container with xr's labels.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// [`ROLE`].
    pub role: String,
    /// [`VERSION`].
    pub version: String,
    /// [`FINGERPRINT`].
    pub fingerprint: String,
    /// The image's id.
    pub image_id: String,
    /// Whether it runs.
    pub running: bool,
    /// In the engine's words: `Up 3 minutes (healthy)`.
    pub status: String,
}

impl Engine {
    /// All containers of a stack that compose knows nothing of: one question.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn labelled(&self, stack: &str) -> Result<Vec<Labelled>> {
        let filters = HashMap::from([("label", vec![format!("{STACK}={stack}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        Ok(listed.into_iter().map(labelled).collect())
    }

    /// Creates a container, stopped, that the engine does not start by itself.
    ///
    /// # Errors
    /// When the name is taken, the image is not there, or the engine refuses.
    pub async fn make(&self, spec: ContainerSpec) -> Result<String> {
        let run_options = spec.run_options;
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let body = ContainerCreateBody {
            image: Some(spec.image),
            env: Some(spec.env),
            cmd: run_options.command,
            entrypoint: run_options.entrypoint,
            user: run_options.user,
            labels: Some(spec.labels),
            healthcheck: spec.health.map(|(test, [interval, timeout, start], retries)| HealthConfig {
                test: Some(test),
                interval: Some(nanos(interval)),
                timeout: Some(nanos(timeout)),
                start_period: Some(nanos(start)),
                retries: Some(i64::from(retries)),
                ..Default::default()
            }),
            host_config: Some(HostConfig {
                binds: Some(run_options.binds),
                cap_add: Some(run_options.cap_add),
                cap_drop: Some(run_options.cap_drop),
                security_opt: Some(run_options.security_opt),
                readonly_rootfs: Some(run_options.read_only),
                privileged: Some(run_options.privileged),
                network_mode: run_options.network_mode,
                pid_mode: run_options.pid_mode,
                extra_hosts: Some(run_options.extra_hosts),
                auto_remove: Some(spec.remove_at_end),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::NO),
                    maximum_retry_count: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let created = self.docker.create_container(Some(options), body).await;
        Ok(created.map_err(Fault::at(format!("cannot create container {}", spec.name)))?.id)
    }

    /// When a file in a container was last written; none when it is not there.
    pub async fn touched(&self, id: &str, path: &str) -> Option<jiff::Timestamp> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        let found = self.docker.get_container_archive_info(id, Some(options)).await.ok()?;
        found.modification_time?.parse().ok()
    }

    /// Tells what a container has said, all of it or its last lines, and with `follow` what it says until it ends.
    ///
    /// # Errors
    /// When the engine breaks off.
    pub async fn log(&self, id: &str, tail: Option<usize>, follow: bool, hear: &mut dyn FnMut(Said<'_>)) -> Result<()> {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).tail(&tail).build();
        let mut stream = std::pin::pin!(self.docker.logs(id, Some(options)));
        while let Some(piece) = stream.next().await {
            match piece.map_err(Fault::at("the log breaks off"))? {
                LogOutput::StdErr { message } => hear(Said::Error(&message)),
                LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                    hear(Said::Out(&message));
                }
            }
        }
        Ok(())
    }

    /// Waits for a container's end: its exit code.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn wait_for_end(&self, id: &str) -> Result<i64> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let waited = self.docker.wait_container(id, Some(options)).try_next().await;
        match waited {
            Ok(answer) => Ok(answer.map_or(0, |answer| answer.status_code)),
            Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => Ok(code),
            Err(error) if is_status(&error, 404) => Err(Fault::new("the container is gone")),
            Err(error) => Err(Fault::new("cannot wait for the container").because(error)),
        }
    }
}

fn labelled(found: ContainerSummary) -> Labelled {
    let labels = found.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let name = found.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let status = found.status.unwrap_or_default();
    Labelled {
        id: found.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        role: label(ROLE),
        version: label(VERSION),
        fingerprint: label(FINGERPRINT),
        image_id: found.image_id.unwrap_or_default(),
        running: status.starts_with("Up"),
        status,
    }
}
