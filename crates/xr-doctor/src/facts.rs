//! Everything the judgement rests on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use xr_env_writer::EnvFile;
use xr_host::EngineInfo;
use xr_model::{
    Container, Digest, Fault, Generation, ImageRef, LocalImage, PinnedImage, Redactor, RunKind, Service, Version,
};
use xr_preflight::{Check, certificate::Expiry, ports::TakenPort};
use xr_stack::{Layout, Manifest};
use xr_version_resolver::Head;

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub message: String,
    /// What mends it.
    pub hint: Option<String>,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self { message: fault.chain(), hint: fault.hint }
    }
}

/// What a source said, or why it did not.
pub type Seen<T> = Result<T, Trouble>;

/// Everything that was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The stack's root.
    pub root: PathBuf,
    /// Where its files stand; none without a compose file.
    pub layout: Option<Layout>,
    /// What its publisher says; where `xr.toml` is broken, what the generation that serves said.
    pub manifest: Manifest,
    /// What is wrong with the compose file's place, `xr.toml` or `.xr/site.toml`.
    pub stack_troubles: Vec<Trouble>,
    /// What xr remembers.
    pub history: History,
    /// VERSION and git.
    pub tree: Tree,
    /// `.env` and its templates.
    pub settings: Settings,
    /// Modes and owners of files that must be private.
    pub places: Vec<Place>,
    /// Folders that xr writes to whose file system is mounted read-only.
    pub read_only: Vec<Trouble>,
    /// Files in the clone that are not its owner's.
    pub foreign: Vec<PathBuf>,
    /// Whose the stack is: user, group.
    pub owner: (u32, u32),
    /// What the engine says of itself.
    pub engine: Seen<EngineInfo>,
    /// The compose project's name.
    pub project: String,
    /// Other folders that containers of this project name were made from.
    pub strangers: Vec<String>,
    /// How the engine describes the networks of the generation that serves, as [`Generation::networks_made`].
    pub networks: Seen<BTreeMap<String, String>>,
    /// The containers of the project; before the first install those of other folders are left out.
    pub containers: Seen<Vec<Container>>,
    /// Last words of containers in trouble, by id.
    pub last_words: BTreeMap<String, Vec<String>>,
    /// What must not be told, whoever says it.
    pub secrets: Redactor,
    /// Every image on the disk.
    pub images: Seen<Vec<LocalImage>>,
    /// The services as compose resolves them now; none where only hashes were asked for.
    pub services: Seen<Option<Vec<Service>>>,
    /// Compose's own hash of each service; none where it cannot be trusted.
    pub hashes: Option<BTreeMap<String, String>>,
    /// The version of the compose plugin, where asked.
    pub compose_version: Option<String>,
    /// Ports that a service wants and somebody else has.
    pub taken: Vec<TakenPort>,
    /// Ports of running containers on which nobody listens: container, address.
    pub silent: Vec<(String, String)>,
    /// The machine.
    pub machine: Vec<Check>,
    /// The TLS certificate, when the stack has one.
    pub certificate: Option<CertificateFact>,
    /// What registries say (`--online`).
    pub registry: Option<Vec<(ImageRef, Seen<Digest>)>>,
    /// Which keys the next release is checked with; none where nobody named any.
    pub trust: Seen<Option<TrustFact>>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Which keys the next release is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFact {
    /// By whose word.
    pub origin: String,
    /// Whether a release that is not signed is refused.
    pub required: bool,
    /// Whether a key can check git's signatures.
    pub git: bool,
    /// Whether a key can check a signed list.
    pub list: bool,
    /// Keys that sign nothing any more, and why.
    pub spent: Vec<String>,
}

/// What `.xr/` holds.
#[derive(Clone, Debug)]
pub struct History {
    /// The generation that serves.
    pub current: Seen<Option<Generation>>,
    /// All that are kept, oldest first.
    pub kept: Seen<Vec<Generation>>,
    /// A run that did not end.
    pub unfinished: Seen<Option<Unfinished>>,
    /// The run that holds the lock just now.
    pub under_way: Option<RunUnderWay>,
}

/// A run that did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its command.
    pub kind: RunKind,
    /// Where it was going.
    pub version: Version,
    /// When it began.
    pub at: String,
}

/// A run that holds the lock, e.g. `xr update (pid 812, by root, since …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUnderWay(pub String);

/// VERSION and git.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What VERSION says.
    pub version: Seen<Version>,
    /// Where the checkout stands; none for an unpacked bundle.
    pub head: Option<Seen<Head>>,
    /// Version tags at that commit.
    pub tags: Vec<Version>,
    /// Tracked files with local changes.
    pub changed: Seen<Vec<String>>,
    /// Submodules that do not stand where the commit has them, a word on each.
    pub strayed: Vec<String>,
    /// Submodules that were never fetched here.
    pub absent: Vec<String>,
}

/// `.env` and its templates.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file; none when there is none.
    pub env: Seen<Option<EnvFile>>,
    /// The copy that the generation that serves was made with.
    pub copy: Option<PathBuf>,
    /// The tree's template.
    pub template: Option<EnvFile>,
    /// The template of the generation that serves.
    pub applied_template: Option<EnvFile>,
    /// Keys of the templates of all kept generations.
    pub known_keys: BTreeSet<String>,
    /// What the compose files say, one after the other.
    pub compose: String,
}

/// A file or folder whose mode or owner matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// The mode it should have.
    pub wanted: u32,
    /// Its owner.
    pub uid: u32,
}

/// The TLS certificate.
#[derive(Clone, Debug)]
pub struct CertificateFact {
    /// The file.
    pub path: PathBuf,
    /// How long it is good; none when there is no such file.
    pub expiry: Option<Seen<Expiry>>,
}

impl Facts {
    /// The generation that serves.
    pub fn current(&self) -> Option<&Generation> {
        self.history.current.as_ref().ok()?.as_ref()
    }

    /// The services that should run: the generation's, else compose's.
    pub fn expected(&self) -> &[Service] {
        match self.current() {
            Some(generation) => &generation.services,
            None => self.services.as_ref().ok().and_then(Option::as_deref).unwrap_or_default(),
        }
    }

    /// The project's containers, as far as they could be seen.
    pub fn all_containers(&self) -> &[Container] {
        self.containers.as_deref().unwrap_or_default()
    }

    /// The containers of a service, leftovers left out.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.all_containers().iter().filter(move |c| c.service == service && !is_leftover(&c.name))
    }

    /// The settings, where they could be read.
    pub fn env(&self) -> Option<&EnvFile> {
        self.settings.env.as_ref().ok()?.as_ref()
    }

    /// The path of `.env`.
    pub fn env_path(&self) -> PathBuf {
        self.layout.as_ref().map_or_else(|| self.root.join(".env"), Layout::env_path)
    }

    /// `.env` as an admin names it: from the root.
    pub fn env_name(&self) -> &str {
        self.layout.as_ref().map_or(".env", |layout| layout.env.as_str())
    }

    /// The local image that a reference means now.
    pub fn meant_by(&self, reference: &ImageRef) -> Option<&LocalImage> {
        let wanted = (plain_name(reference.name()), reference.tag().unwrap_or("latest"));
        self.images.as_ref().ok()?.iter().find(|image| {
            image
                .tags
                .iter()
                .map(|tag| ImageRef::new(tag.as_str()))
                .any(|tag| (plain_name(tag.name()), tag.tag().unwrap_or("latest")) == wanted)
        })
    }

    /// The local image that holds the pinned content.
    pub fn local(&self, pinned: &PinnedImage) -> Option<&LocalImage> {
        self.images.as_ref().ok()?.iter().find(|image| image.holds(pinned))
    }

    /// Whether a container runs the pinned content; none when nothing was pinned.
    pub fn runs(&self, container: &Container, pinned: &PinnedImage) -> Option<bool> {
        if !pinned.image_id.is_empty() && container.image_id == pinned.image_id {
            return Some(true);
        }
        if pinned.image_id.is_empty() && pinned.digest.is_none() {
            return None;
        }
        let image = self.images.as_ref().ok()?.iter().find(|image| image.id == container.image_id);
        Some(image.is_some_and(|image| image.holds(pinned)))
    }

    /// Whether every service runs what the generation pinned.
    pub fn runs_current(&self) -> bool {
        let Some(generation) = self.current() else { return false };
        generation.images.iter().all(|pinned| {
            pinned.services.iter().all(|service| {
                let mut containers = self.of(service).peekable();
                containers.peek().is_some() && containers.all(|c| self.runs(c, pinned) == Some(true))
            })
        })
    }

    /// A path as an admin types it from the root.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Whether a run is under way or was killed: what stands there is neither the old nor the new.
    pub fn is_between(&self) -> bool {
        self.is_busy() || matches!(self.history.unfinished, Ok(Some(_)))
    }

    /// Whether a run holds the lock: half-done things are its own then.
    pub fn is_busy(&self) -> bool {
        self.history.under_way.is_some()
    }
}

/// Docker Hub's short names mean the same as its long ones.
fn plain_name(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// Containers that a killed run leaves: xr's `…-xr-old`, compose's `<12 hex digits>_…`.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.ends_with("-xr-old") || xr_model::own_name(name) != name
}

/// The first twelve digits of an id.
pub(crate) fn short(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_known_by_their_names() {
        for (name, leftover) in [
            ("orbit-server-1-xr-old", true),
            ("0123456789ab_orbit-server-1", true),
            ("orbit-server-1", false),
            ("0123456789ab", false),
            ("my_container", false),
        ] {
            assert_eq!(is_leftover(name), leftover, "{name}");
        }
    }

    #[test]
    fn short_names_of_docker_hub_are_the_same_as_long_ones() {
        for (a, b) in [
            ("docker.io/library/postgres", "postgres"),
            ("docker.io/acme/server", "acme/server"),
            ("ghcr.io/a/b", "ghcr.io/a/b"),
        ] {
            assert_eq!(plain_name(a), b);
        }
    }
}
