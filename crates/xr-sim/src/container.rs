//! A container: what it was made from, and what its program does as time goes by.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::images::{Behaviour, Image};

/// How long a program that crashes needs between two starts.
const RESTART: Duration = Duration::from_millis(10);

/// What a container is doing.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Created,
    Running { since: Instant, at: String },
    Exited(i64),
}

impl State {
    /// Of what is started now.
    pub(crate) fn running() -> Self {
        Self::Running { since: Instant::now(), at: jiff::Timestamp::now().to_string() }
    }
}

/// A place in a container where something is mounted.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    kind: String,
    /// The folder, or the name of the volume.
    pub source: String,
    target: String,
    writable: bool,
    /// Whether the engine made the volume for this container alone.
    pub anonymous: bool,
}

impl Point {
    /// As a request asks for it; a volume without a name gets this one.
    pub fn of(mount: &Value, new: &str) -> Self {
        let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
        let (kind, source) = (text("Type"), text("Source"));
        let anonymous = kind == "volume" && source.is_empty();
        let source = if anonymous { new.to_owned() } else { source };
        Self { kind, source, target: text("Target"), writable: mount["ReadOnly"] != true, anonymous }
    }

    pub fn is_volume(&self) -> bool {
        self.kind == "volume"
    }

    fn told(&self) -> Value {
        let name = if self.is_volume() { self.source.as_str() } else { "" };
        json!({
            "Type": self.kind, "Name": name, "Source": self.source, "Destination": self.target, "RW": self.writable,
        })
    }
}

/// A container.
#[derive(Clone, Debug)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `Config` as created.
    pub config: Value,
    /// `HostConfig` as created or updated.
    pub host: Value,
    /// Networks and the names there.
    pub networks: BTreeMap<String, Value>,
    /// What is mounted in it.
    pub(crate) points: Vec<Point>,
    /// What was written into it before it was started, by path.
    pub files: BTreeMap<String, String>,
    pub(crate) image: Image,
    pub(crate) state: State,
    pub(crate) restarts: u64,
    /// Whether it was running when the machine went down, which is what `unless-stopped` goes by.
    pub(crate) wanted: bool,
    /// Of a proxy: the containers that it found when it started; none when a name led nowhere, upon which it ends and is
    /// started again.
    pub(crate) found: Option<Vec<String>>,
}

impl Container {
    /// As created by a request with this body.
    pub(crate) fn new(id: String, name: &str, image: Image, mut body: Value) -> Self {
        let host = body["HostConfig"].take();
        let asked = body["NetworkingConfig"]["EndpointsConfig"].take();
        if let Some(map) = body.as_object_mut() {
            map.remove("HostConfig");
            map.remove("NetworkingConfig");
        }
        let endpoints = asked.as_object().into_iter().flatten();
        let networks = endpoints.map(|(network, endpoint)| (network.clone(), attached(endpoint, &id))).collect();
        Self {
            id,
            name: name.to_owned(),
            config: body,
            host,
            networks,
            points: Vec::new(),
            files: BTreeMap::new(),
            image,
            state: State::Created,
            restarts: 0,
            wanted: false,
            found: Some(Vec::new()),
        }
    }

    /// A label of it.
    pub fn label(&self, name: &str) -> &str {
        self.config["Labels"][name].as_str().unwrap_or_default()
    }

    /// The compose service.
    pub fn service(&self) -> &str {
        self.label("com.docker.compose.service")
    }

    /// The image's reference.
    pub fn image(&self) -> &str {
        self.config["Image"].as_str().unwrap_or_default()
    }

    /// When the engine starts it by itself.
    pub fn restart(&self) -> &str {
        self.host["RestartPolicy"]["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no")
    }

    /// Whether its program runs now.
    pub fn runs(&self) -> bool {
        self.is_up() && self.crashes() == 0
    }

    /// Whether it was started and not stopped: its program runs, or has crashed.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// How often its program has crashed since it was last started.
    pub(crate) fn crashes(&self) -> u64 {
        let State::Running { since, .. } = &self.state else { return 0 };
        let life = match &self.image.behaviour {
            Behaviour::CrashesAfter(life) => *life,
            Behaviour::Proxies(_) if self.found.is_none() => Duration::ZERO,
            _ => return 0,
        };
        let (up, round) = (since.elapsed(), life + RESTART);
        if up < life { 0 } else { u64::try_from(up.as_millis() / round.as_millis()).unwrap_or(u64::MAX).max(1) }
    }

    /// What it publishes: `80/tcp`, and the port of the machine.
    pub(crate) fn ports(&self) -> Vec<(String, u16)> {
        let bindings = self.host["PortBindings"].as_object();
        let mut ports = Vec::new();
        for (target, hosts) in bindings.into_iter().flatten() {
            for host in hosts.as_array().into_iter().flatten() {
                if let Some(port) = host["HostPort"].as_str().and_then(|port| port.parse().ok()) {
                    ports.push((target.clone(), port));
                }
            }
        }
        ports
    }

    /// Whether it publishes this port of the machine.
    pub(crate) fn publishes(&self, port: u16) -> bool {
        self.ports().iter().any(|(_, own)| *own == port)
    }

    /// The volumes that it mounts.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = &str> {
        self.points.iter().filter(|point| point.is_volume()).map(|point| point.source.as_str())
    }

    fn has_check(&self) -> bool {
        self.config["Healthcheck"]["Test"].as_array().is_some_and(|test| !test.is_empty() && test[0] != "NONE")
    }

    fn status(&self) -> (&'static str, i64) {
        match &self.state {
            State::Created => ("created", 0),
            State::Exited(code) => ("exited", *code),
            State::Running { .. } if self.crashes() == 0 => ("running", 0),
            State::Running { .. } if self.restart() == "no" => ("exited", 1),
            State::Running { .. } => ("restarting", 1),
        }
    }

    fn health(&self) -> Option<&'static str> {
        if !self.has_check() || !self.runs() {
            return None;
        }
        Some(if self.image.behaviour == Behaviour::NeverHealthy { "starting" } else { "healthy" })
    }

    /// What the engine's list says of it.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "Id": self.id, "Names": [format!("/{}", self.name)], "Image": self.image(), "ImageID": self.image.digest(),
            "Labels": self.config["Labels"], "State": self.status().0, "Status": self.status().0, "Mounts": self.mounts(),
        })
    }

    fn mounts(&self) -> Vec<Value> {
        self.points.iter().map(Point::told).collect()
    }

    /// All that the engine says of it.
    pub(crate) fn details(&self) -> Value {
        let (status, code) = self.status();
        let mut state = json!({
            "Status": status, "Running": status == "running", "ExitCode": code,
            "StartedAt": match &self.state { State::Running { at, .. } => at.as_str(), _ => "0001-01-01T00:00:00Z" },
        });
        if let Some(health) = self.health() {
            state["Health"] = json!({"Status": health, "FailingStreak": 0, "Log": []});
        }
        let ports: BTreeMap<String, Value> = match self.runs() {
            true => self
                .ports()
                .into_iter()
                .map(|(t, p)| (t, json!([{"HostIp": "0.0.0.0", "HostPort": p.to_string()}])))
                .collect(),
            false => BTreeMap::new(),
        };
        json!({
            "Id": self.id, "Name": format!("/{}", self.name), "Image": self.image.digest(), "Config": self.config,
            "HostConfig": self.host, "State": state, "RestartCount": self.restarts + self.crashes(),
            "NetworkSettings": {"Networks": self.networks, "Ports": ports}, "Mounts": self.mounts(),
        })
    }
}

/// A container's place on a network, where it is known by its id too.
pub(crate) fn attached(endpoint: &Value, id: &str) -> Value {
    let mut aliases: Vec<Value> = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
    aliases.push(json!(id[..12]));
    json!({"Aliases": aliases, "IPAMConfig": endpoint["IPAMConfig"], "NetworkID": ""})
}
