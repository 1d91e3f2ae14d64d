//! A compose service, as far as the order of an update depends on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Container, ImageRef};

/// One service of the resolved compose configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The compose name.
    pub name: String,
    /// The image it runs.
    pub image: ImageRef,
    /// SHA-256 of the resolved service definition, without what does not reach the container (build, scale, depends_on).
    pub spec: String,
    /// What the release's own files that it mounts contain: folders, configs and secrets from the tree; empty for none.
    #[serde(default)]
    pub content: String,
    /// SHA-256 of what compose writes into its containers out of settings; none where there is nothing, or nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<String>,
    /// What must be up before it.
    pub depends_on: Vec<Dependency>,
    /// Ports published on the host.
    pub ports: Vec<Port>,
    /// The fixed `container_name`, when there is one.
    pub container_name: Option<String>,
    /// The container's own check; none when the compose file and the image define none, as far as the compose file says.
    pub health: Option<HealthCheck>,
    /// Whether it may write data: a volume, file or folder that is mounted writable, whoever else mounts it.
    pub owns_data: bool,
    /// The networks that its containers are on; empty when it borrows one, or nobody has noted it.
    #[serde(default)]
    pub networks: Vec<NetworkPlace>,
    /// The named volumes that its containers have.
    #[serde(default)]
    pub volumes: Vec<VolumePlace>,
    /// Whether the compose file gives it an address of its own, which two containers cannot have.
    #[serde(default)]
    pub fixed_address: bool,
    /// Whether it finds files in its container that compose writes there itself, of `configs` and `secrets` without a file.
    #[serde(default)]
    pub injected: bool,
    /// Whether the compose file has programs run in its containers when they have started.
    #[serde(default)]
    pub runs_after_start: bool,
    /// Whether the compose file has programs run in its containers before they stop.
    #[serde(default)]
    pub runs_before_stop: bool,
    /// How long it may take to end, where the compose file says so.
    #[serde(default)]
    pub stop_grace: Option<Duration>,
    /// Whether it shares the host's network.
    pub host_network: bool,
    /// Services whose namespaces or volumes it borrows (`network_mode: service:x`); it is replaced with them.
    pub tied_to: Vec<String>,
    /// Whether the compose file says how to build its image.
    #[serde(default)]
    pub builds: bool,
    /// Where its image comes from.
    #[serde(default)]
    pub image_source: ImageSource,
    /// How many containers.
    pub replicas: u32,
    /// The restart policy, e.g. `always`, `no`.
    pub restart: String,
    /// Whether the compose file says in so many words that it is not started again: `restart: "no"`.
    #[serde(default)]
    pub ends: bool,
    /// Whether the engine chooses host ports for it: of those the compose file gives the container's only.
    #[serde(default)]
    pub chosen_ports: bool,
    /// The publisher's word on starting the new beside the old, where given.
    pub beside: Option<bool>,
}

/// A place on a network, as the compose file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlace {
    /// The network's name on the engine.
    pub network: String,
    /// The address that it is to have there, where the compose file gives one.
    #[serde(default)]
    pub ipv4: Option<String>,
}

/// A named volume in its place, as the compose file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlace {
    /// The volume's name on the engine.
    pub volume: String,
    /// Where it is in the container.
    pub target: String,
}

/// Where the image of a service comes from first, by
/// [compose's rules](https://github.com/compose-spec/compose-spec/blob/main/05-services.md#pull_policy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A registry has it; one that the compose file builds is built when none has.
    #[default]
    Registry,
    /// It is built here, whatever a registry has under its name.
    Build,
    /// It is on this host already: `pull_policy: never`.
    Host,
}

impl Service {
    /// What a container of it lacks of its place in the stack: a network, its address there, a volume.
    pub fn misplaced(&self, container: &Container) -> Option<String> {
        for place in &self.networks {
            let Some(there) = container.networks.iter().find(|there| there.network == place.network) else {
                return Some(format!("is not on the network {}", place.network));
            };
            if let Some(address) = place.ipv4.as_ref().filter(|_| there.ipv4 != place.ipv4) {
                return Some(format!("does not have the address {address} on the network {}", place.network));
            }
        }
        let path = |target: &str| target.trim_end_matches('/').to_owned();
        let has = |place: &&VolumePlace| {
            container.mounts.iter().any(|m| m.source == place.volume && path(&m.target) == path(&place.target))
        };
        let lacking = self.volumes.iter().find(|place| !has(place))?;
        Some(format!("does not have the volume {} at {}", lacking.volume, lacking.target))
    }

    /// Whether it is to be reached at ports of the host.
    pub fn is_published(&self) -> bool {
        self.chosen_ports || !self.ports.is_empty()
    }

    /// Whether a new container may run beside these old ones: no published port, no fixed name or address, nothing borrowed,
    /// and nothing that either may write, unless the publisher says that its data bear two.
    pub fn may_run_beside<'a>(&self, old: impl IntoIterator<Item = &'a Container>) -> bool {
        self.ports.is_empty()
            && self.container_name.is_none()
            && !self.host_network
            && !self.fixed_address
            && self.tied_to.is_empty()
            && self.beside.unwrap_or_else(|| !self.owns_data && !old.into_iter().any(Container::holds_data))
    }

    /// Everything that a new container is needed for when it changes, but the image: definition and mounted files.
    pub fn definition(&self) -> String {
        format!("{}{}", self.spec, self.content)
    }

    /// Whether its end with success is its purpose: one of `services` waits for its completion, or nothing restarts it and
    /// it was among those that had `ended` by themselves before. A database that was stopped has ended with success too.
    pub fn is_a_job(&self, services: &[Self], ended: &[String]) -> bool {
        services.iter().any(|other| other.waits_for_the_end_of(&self.name))
            || (!self.is_started_again() && ended.contains(&self.name))
    }

    /// Whether, having ended with success, it may have done what it is for: a job, or nothing about it speaks for a server. Data speak
    /// for one, unless `restart: "no"` says that it ends and no name says otherwise: a job that prepares a volume mounts it too.
    pub fn may_be_done(&self, services: &[Self], ended: &[String]) -> bool {
        let keeps = self.owns_data && (!self.ends || self.is_called_a_server());
        self.is_a_job(services, ended) || !(self.is_started_again() || keeps || self.serves(services))
    }

    fn is_started_again(&self) -> bool {
        !matches!(self.restart.as_str(), "" | "no") && !self.restart.starts_with("on-failure")
    }

    /// Whether somebody uses it while it runs: it publishes a port, has a health check, or another one of `services` needs it. One
    /// that is said to end may have a check, and others may wait for its start only.
    pub fn serves(&self, services: &[Self]) -> bool {
        self.is_published()
            || (self.health.is_some() && !self.ends)
            || services.iter().flat_map(|other| &other.depends_on).any(|needed| {
                needed.service == self.name && (!self.ends || needed.condition == Condition::ServiceHealthy)
            })
    }

    /// Whether its image is that of a database, by its name: it keeps data of its own and asks no other one for them.
    pub fn is_database(&self) -> bool {
        self.image.name().rsplit('/').next().is_some_and(is_database)
    }

    /// Whether its image is that of a database, or its own name says that it is one.
    pub fn is_called_a_database(&self) -> bool {
        let mut words = self.name.split(|c: char| !c.is_ascii_alphanumeric());
        self.is_database() || words.any(|word| matches!(word.to_lowercase().as_str(), "database" | "db" | "sql"))
    }

    /// Whether its own name, or the product's that is its image, says that it is a database, a queue or the like. That an image is
    /// called `server` says nothing: what migrates or fills is often made of it.
    fn is_called_a_server(&self) -> bool {
        const PRODUCTS: &[&str] = &[
            "consul",
            "etcd",
            "kafka",
            "meilisearch",
            "minio",
            "nats",
            "rabbitmq",
            "registry",
            "solr",
            "typesense",
            "vault",
            "zookeeper",
        ];
        const KINDS: &[&str] =
            &["broker", "cache", "database", "db", "mq", "queue", "server", "sql", "storage", "store"];
        let words = |name: &str| -> Vec<String> {
            name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_lowercase).collect()
        };
        let image = words(self.image.name().rsplit('/').next().unwrap_or_default());
        let own = words(&self.name);
        self.is_database()
            || image.iter().chain(&own).any(|word| PRODUCTS.contains(&word.as_str()))
            || own.iter().any(|word| KINDS.contains(&word.as_str()))
            || is_database(self.name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_')))
    }

    /// Whether it starts only when the service of this name has completed.
    pub fn waits_for_the_end_of(&self, name: &str) -> bool {
        let completed = |d: &&Dependency| d.condition == Condition::ServiceCompletedSuccessfully;
        self.depends_on.iter().filter(completed).any(|dependency| dependency.service == name)
    }
}

/// Whether the last part of an image's name is that of a database.
pub fn is_database(name: &str) -> bool {
    const DATABASES: &[&str] = &[
        "arangodb",
        "azure-sql-edge",
        "cassandra",
        "clickhouse",
        "clickhouse-server",
        "cockroach",
        "couchbase",
        "couchdb",
        "dragonfly",
        "elasticsearch",
        "influxdb",
        "keydb",
        "mariadb",
        "mariadb-galera",
        "mongo",
        "mongodb",
        "mongodb-community-server",
        "mongodb-sharded",
        "mysql",
        "mysql-cluster",
        "mysql-server",
        "neo4j",
        "opensearch",
        "percona",
        "percona-server",
        "percona-server-mongodb",
        "pgvecto-rs",
        "pgvector",
        "postgis",
        "postgres",
        "postgresql",
        "postgresql-ha",
        "postgresql-repmgr",
        "qdrant",
        "questdb",
        "redis",
        "redis-cluster",
        "redis-stack",
        "redis-stack-server",
        "rethinkdb",
        "scylla",
        "surrealdb",
        "timescaledb",
        "timescaledb-ha",
        "valkey",
        "valkey-bundle",
        "valkey-cluster",
        "vchord-postgres",
        "weaviate",
    ];
    DATABASES.contains(&name)
}

/// `depends_on` with its condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The service waited for.
    pub service: String,
    /// What it waits for.
    pub condition: Condition,
    /// Whether the stack may run without it.
    pub required: bool,
    /// Whether it is to be restarted when the other one is replaced.
    #[serde(default)]
    pub restart: bool,
}

/// The conditions of the [Compose specification](https://github.com/compose-spec/compose-spec/blob/main/05-services.md#depends_on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers run.
    ServiceStarted,
    /// Its own check passes.
    ServiceHealthy,
    /// It ended with exit code 0.
    ServiceCompletedSuccessfully,
}

/// A port published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The host's address, empty for all.
    pub host_ip: String,
    /// The host's port.
    pub published: u16,
    /// The last of several of which the engine takes one, when the compose file gives a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u16>,
    /// The container's port.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// A container's own health check: its times. The command itself may hold secrets and is asked of the container when needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Between two checks of the engine.
    pub interval: Duration,
    /// One check's time.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Failures that do not count at first.
    pub start_period: Duration,
}

impl HealthCheck {
    /// How long to wait for the first healthy answer before giving up: the engine's own patience, its interval
    /// counted as at most ten seconds because xr asks sooner than the engine does; never under a minute.
    pub fn patience(&self) -> Duration {
        let round = self.timeout.min(Duration::from_secs(10)) + self.interval.min(Duration::from_secs(10));
        (self.start_period + round * self.retries.max(1)).clamp(Duration::from_secs(60), Duration::from_secs(600))
    }
}
