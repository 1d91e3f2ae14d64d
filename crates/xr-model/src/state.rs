//! What should be (`Desired`) and what is (`Observed`): the two inputs of planning.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{DesiredFleet, Digest, ObservedWorker, PinnedImage, Port, RemadeNetwork, Restore, Service, Version};

/// A hook to run once its service is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredHook {
    /// Its index in the stack's manifest.
    pub index: usize,
    /// Its name there.
    pub name: String,
    /// The service in whose new container it runs.
    pub service: String,
}

/// A backup to take before the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredBackup {
    /// Its index in the stack's manifest.
    pub index: usize,
    /// Its name there.
    pub name: String,
    /// The service whose data it saves.
    pub service: String,
}

/// What one run shall bring about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Desired {
    /// The version to serve.
    pub version: Version,
    /// The generation this will be recorded as (update) or already is (rollback).
    pub generation: u32,
    /// The git commit the tree shall stand at; none for an unpacked bundle.
    pub commit: Option<String>,
    /// Services in an order in which dependencies come first.
    pub services: Vec<Service>,
    /// Services the admin left out.
    pub left_out: Vec<String>,
    /// Every image, pinned.
    pub images: Vec<PinnedImage>,
    /// Service definitions of the generation that runs now (name → spec), to tell what changed.
    pub previous_specs: BTreeMap<String, String>,
    /// Services of the generation that runs now which had ended by themselves when it was recorded.
    pub ended: Vec<String>,
    /// Whether the tree, VERSION or `.env` differ from what is wanted.
    pub files_change: bool,
    /// Hooks to run, in order. First-run hooks only on an install.
    pub hooks: Vec<DesiredHook>,
    /// Backups to take before the switch.
    pub backups: Vec<DesiredBackup>,
    /// Dumps to put back.
    pub restores: Vec<Restore>,
    /// How long everything must stay up before the run counts as a success.
    pub settle: Duration,
    /// Whether there is something to smoke-check.
    pub smoke: bool,
    /// Networks that are there and whose definition changes.
    #[serde(default)]
    pub remade_networks: Vec<RemadeNetwork>,
    /// What the workers shall have; none when there are none.
    pub fleet: Option<DesiredFleet>,
}

/// What is, at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// All containers that carry the project's label, one-off ones left out.
    pub containers: Vec<Container>,
    /// Local images that the desired state or a container names.
    pub images: Vec<LocalImage>,
    /// The workers that take part.
    pub fleet: Vec<ObservedWorker>,
}

impl Observed {
    /// The containers of one service.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |c| c.service == service)
    }

    /// The local image that holds the pinned content: by the engine's id, else by digest.
    pub fn local(&self, pinned: &PinnedImage) -> Option<&LocalImage> {
        self.images.iter().find(|image| image.holds(pinned))
    }
}

/// A container of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Compose's service label.
    pub service: String,
    /// The folder that compose made it from; empty when nobody says.
    #[serde(default)]
    pub folder: String,
    /// Compose's container number.
    pub number: u32,
    /// Compose's config hash label.
    pub config_hash: String,
    /// The image reference it was created from.
    pub image: String,
    /// The engine's id of that image.
    pub image_id: String,
    /// What it does.
    pub state: ContainerState,
    /// Its own check's last answer.
    pub health: Health,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// When the engine starts it by itself, in compose's spelling: `always`, `on-failure:3`, `no`.
    #[serde(default)]
    pub restart: String,
    /// When it was last started (RFC 3339, the engine's clock).
    pub started_at: String,
    /// Its places on networks, to put it back.
    pub networks: Vec<Attachment>,
    /// Its own addresses on networks, while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Ports it holds on the host.
    pub ports: Vec<Port>,
    /// What is mounted in it, as the engine says: what its image and whoever made it asked for.
    #[serde(default)]
    pub mounts: Vec<Mount>,
}

/// Something mounted in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// The volume's name, or the path on the host.
    pub source: String,
    /// Where it is in the container.
    pub target: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A volume that was asked for by its name.
    Volume,
    /// A volume that the engine made for this container and named itself, for a `VOLUME` of the image or a volume without a
    /// name in the compose file.
    AnonymousVolume,
    /// A file or folder of the host.
    Bind,
    /// Something else, which keeps no data: a file system in memory, a pipe.
    Other,
}

impl Mount {
    /// Whether data live there that two containers must not write at once: a volume or a place on the host that the container
    /// may write, but for what belongs to the host itself.
    pub fn holds_data(&self) -> bool {
        let kept = match self.kind {
            MountKind::Volume | MountKind::AnonymousVolume => true,
            MountKind::Bind => !is_the_hosts(&self.source),
            MountKind::Other => false,
        };
        kept && self.writable
    }
}

/// Whether a path on the host is the host's own, which everybody may use at once: devices, the kernel's files, its clock, the
/// engine's socket.
pub fn is_the_hosts(path: &str) -> bool {
    const OWN: [&str; 7] =
        ["/proc", "/sys", "/dev", "/etc/localtime", "/etc/timezone", "/var/run/docker.sock", "/run/docker.sock"];
    OWN.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

impl Container {
    /// Whether it has, or its engine would start again, a process: one between two tries is up as well.
    pub fn is_up(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Restarting | ContainerState::Paused)
    }

    /// Whether the engine starts it again when it ends well: without such a policy its end is its purpose.
    pub fn is_started_again(&self) -> bool {
        !matches!(self.restart.as_str(), "" | "no") && !self.restart.starts_with("on-failure")
    }

    /// Whether it has data that no other container may write at the same time.
    pub fn holds_data(&self) -> bool {
        self.mounts.iter().any(Mount::holds_data)
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running)
    }

    /// The name that it shall have: without what compose puts before it while it replaces another, `<12 hex digits>_`.
    pub fn own_name(&self) -> &str {
        own_name(&self.name)
    }
}

/// The name of a container without the `<12 hex digits>_` that compose puts before it while it replaces another, and that
/// stays when compose is killed.
pub fn own_name(name: &str) -> &str {
    let digits = |id: &str| id.len() == 12 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match name.split_once('_') {
        Some((id, rest)) if digits(id) && !rest.is_empty() => rest,
        _ => name,
    }
}

/// A container's life, as the engine reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "code")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two tries.
    Restarting,
    /// Ended with this code.
    Exited(i64),
    /// Being removed, or dead.
    Dead,
}

/// A container's own check, as the engine reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It defines none.
    None,
    /// No verdict yet.
    Starting,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's id.
    pub container: String,
    /// The network's name.
    pub network: String,
    /// Names it answers to there.
    pub aliases: Vec<String>,
    /// A fixed address, where the compose file gives one.
    pub ipv4: Option<String>,
    /// All that was asked of it there (IP addresses, links, options), in the engine's words, for it to be put back with. Null in
    /// older records, which have only the names and the address above.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub settings: serde_json::Value,
}

/// An image on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalImage {
    /// The engine's id.
    pub id: String,
    /// Tags it carries.
    pub tags: Vec<String>,
    /// `name@digest` entries it is known by.
    pub repo_digests: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
}

impl LocalImage {
    /// Whether this is the pinned content.
    pub fn holds(&self, pinned: &PinnedImage) -> bool {
        if !pinned.image_id.is_empty() && self.id == pinned.image_id {
            return true;
        }
        pinned.digest.as_ref().is_some_and(|digest| self.has_digest(digest))
    }

    /// Whether a registry knows it by this digest.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        self.repo_digests.iter().any(|known| known.ends_with(digest.0.as_str())) || self.id == digest.0
    }
}
