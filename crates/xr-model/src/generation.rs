//! A generation: a release as applied here. Numbered, immutable, kept for rollback.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Container, PinnedImage, RunKind, Service, Version};

/// The format of `generation.json`; a newer one is refused.
pub const GENERATION_FORMAT: u32 = 1;

/// Whether the images come from a registry or are built here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Pulled.
    #[default]
    Production,
    /// `--dev`: built from the tree.
    Dev,
}

/// How compose is called for this generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Compose files, relative to the stack's root, in order.
    pub files: Vec<String>,
    /// The folder compose runs in, relative to the stack's root; empty for the root.
    pub directory: String,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// Services the admin left out.
    pub left_out: Vec<String>,
    /// The project's name, as compose resolved it.
    pub project: String,
}

/// What a signature speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// The release's files.
    Tree,
    /// The content of its images.
    Images,
}

/// A signature that was checked before a release was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// What it speaks for.
    pub covers: Covers,
    /// What is signed: `tag v1.2.0`, `commit 0123456789ab`, `release.lock`.
    pub subject: String,
    /// The key's kind and fingerprint.
    pub key: String,
    /// Whom the key names; for minisign the signature's trusted comment.
    pub owner: String,
    /// By whose word the key counts: `.xr/site.toml`, `generation 3`, `--trust-key`, `the release itself`.
    pub trusted_by: String,
}

impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let owner = if self.owner.is_empty() { String::new() } else { format!(" ({})", self.owner) };
        let what = if self.covers == Covers::Tree { "files" } else { "images" };
        write!(f, "{what}: {} signed by {}{owner}, key trusted by {}", self.subject, self.key, self.trusted_by)
    }
}

/// `generations/<n>/generation.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generation {
    /// [`GENERATION_FORMAT`].
    pub format: u32,
    /// Its number, from 1.
    pub number: u32,
    /// The generation that served when this one was made: where a plain rollback goes.
    pub parent: Option<u32>,
    /// Which command made it.
    pub made_by: RunKind,
    /// The version.
    pub version: Version,
    /// SHA-256 of compose configuration, settings and image digests.
    pub version_id: String,
    /// The git commit; none for an unpacked bundle.
    pub commit: Option<String>,
    /// The branch the tree is on, when the admin's clone is on one.
    pub branch: Option<String>,
    /// When it was applied (RFC 3339, UTC).
    pub applied_at: String,
    /// Production or dev.
    pub mode: Mode,
    /// How compose is called.
    pub invocation: Invocation,
    /// The resolved services, dependencies first.
    pub services: Vec<Service>,
    /// Services that had ended by themselves, with success, when this was recorded: jobs such as a migration.
    #[serde(default)]
    pub ended: Vec<String>,
    /// Volumes without a name of their own that its containers had when it was recorded: an undo finds them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unnamed_volumes: Vec<UnnamedVolume>,
    /// SHA-256 of the definition of each of its networks, by the network's name on the engine; those of others left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, String>,
    /// SHA-256 of what the engine said of each of them when this was recorded, by the network's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks_made: BTreeMap<String, String>,
    /// Compose's hash of what each service's containers were made from, when it was recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_hashes: BTreeMap<String, String>,
    /// The lock: every image by digest.
    pub images: Vec<PinnedImage>,
    /// What changed from its parent, a line each.
    pub changes: Vec<String>,
    /// The signatures that were checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<Verified>,
}

/// A volume that the engine made for one container, and named itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnnamedVolume {
    /// The service.
    pub service: String,
    /// Which of its containers, from 0 in the order of their numbers.
    pub container: usize,
    /// Where it is in the container.
    pub target: String,
    /// The name that the engine gave it.
    pub volume: String,
}

impl Generation {
    /// Service name → [`Service::definition`].
    pub fn specs(&self) -> BTreeMap<String, String> {
        self.services.iter().map(|s| (s.name.clone(), s.definition())).collect()
    }

    /// Whether one of its images has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.images.iter().any(|image| image.reference.tag() == Some(tag))
    }

    /// As [`Generation::specs`], with no definition for what somebody has made anew from another one meanwhile, such as an
    /// admin who called compose, and for what compose would write other settings into, to be as in `next`.
    pub fn specs_of(&self, containers: &[Container], next: &[Service]) -> BTreeMap<String, String> {
        let drifted = |container: &&Container| {
            let recorded = self.config_hashes.get(&container.service);
            recorded.is_some_and(|hash| *hash != container.config_hash)
        };
        let mut specs = self.specs();
        for container in containers.iter().filter(drifted) {
            specs.insert(container.service.clone(), String::new());
        }
        let noted = |service: &Service| next.iter().find(|one| one.name == service.name)?.variables.clone();
        let other = |service: &&Service| {
            noted(service).is_some_and(|is| service.variables.as_ref().is_some_and(|was| *was != is))
        };
        specs.extend(self.services.iter().filter(other).map(|service| (service.name.clone(), String::new())));
        specs
    }

    /// Compose's hashes of these containers, by service.
    pub fn hashes_of(containers: &[Container]) -> BTreeMap<String, String> {
        containers.iter().map(|one| (one.service.clone(), one.config_hash.clone())).collect()
    }
}
