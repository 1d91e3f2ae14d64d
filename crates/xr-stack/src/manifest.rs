//! The publisher's manifest, `xr.toml`. Every key has a default; unknown keys are refused.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::duration;

/// `xr.toml`, and the schema of presets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// The product's name, for messages; the root folder's name when not given.
    pub name: Option<String>,
    /// The preset to build on, instead of the one that fits.
    pub preset: Option<String>,
    /// Where the version stands.
    pub version: VersionKeys,
    /// Where compose's files stand.
    pub compose: ComposeFiles,
    /// Profiles that follow from a setting.
    pub profiles: Vec<Profile>,
    /// Images the product starts itself, in no compose service.
    pub images: Vec<DependentImage>,
    /// What `--dev` adds.
    pub dev: Dev,
    /// Keys of `.env` that hold secrets to generate.
    pub secrets: Vec<SecretKey>,
    /// Rules for single services.
    pub services: BTreeMap<String, ServiceRule>,
    /// When a run counts as healthy.
    pub health: HealthRule,
    /// Programs to run in containers.
    pub hooks: Vec<Hook>,
    /// What to save before a switch.
    pub backups: Vec<Backup>,
    /// What to ask after a switch.
    pub smoke: Vec<Smoke>,
    /// Host folders to make at install.
    pub folders: Vec<Folder>,
    /// A TLS certificate to make when missing.
    pub certificate: Option<Certificate>,
    /// The database's settings.
    pub database: Option<Database>,
    /// The key that holds the host's public name or address.
    pub public_host: Option<String>,
    /// What runs on remote workers.
    pub worker: WorkerRule,
    /// Groups of services that can be left out: name → services.
    pub optional: BTreeMap<String, Vec<String>>,
    /// What the machine must have.
    pub requirements: Requirements,
    /// How much to keep.
    pub keep: Keep,
    /// Who signs the releases.
    pub trust: Trust,
    /// When a preset fits; only in presets.
    #[serde(rename = "match", skip_serializing)]
    pub fits: Option<Fits>,
}

impl Manifest {
    /// The keys of `.env` that it says hold secrets.
    pub fn secret_keys(&self) -> Vec<&str> {
        self.secrets.iter().map(|secret| secret.key.as_str()).collect()
    }
}

/// When a preset fits a compose file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// All of these must occur in the compose file's text.
    pub compose_contains: Vec<String>,
}

/// `[version]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VersionKeys {
    /// The file that holds the version, from the stack's root.
    pub file: String,
    /// The key of `.env` that compose reads the tag from.
    pub key: String,
    /// What an update follows.
    pub follow: Follow,
}

impl Default for VersionKeys {
    fn default() -> Self {
        Self { file: "VERSION".into(), key: "IMAGE_TAG".into(), follow: Follow::Auto }
    }
}

/// What an update follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Release tags when there are any, else the branch.
    #[default]
    Auto,
    /// Release tags.
    Tags,
    /// VERSION at the branch's tip.
    Branch,
}

/// `[compose]`; paths from the stack's root.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComposeFiles {
    /// The production files, in order.
    pub files: Option<Vec<String>>,
    /// The files of `--dev`, in order.
    pub dev_files: Option<Vec<String>>,
    /// The settings file.
    pub env: Option<String>,
    /// Its template.
    pub template: Option<String>,
}

/// `[[profiles]]`: a compose profile that is on when a key of `.env` has one of some values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile.
    pub name: String,
    /// The key.
    pub key: String,
    /// The values that switch it on; an empty string stands for "not set".
    pub values: Vec<String>,
}

/// `[[images]]`: an image derived from a service's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DependentImage {
    /// The service whose image's name is taken.
    pub from_service: String,
    /// This part of the name's last component …
    pub replace: String,
    /// … becomes this.
    pub with: String,
    /// The key of `.env` that may name another image instead.
    pub override_key: Option<String>,
}

/// `[dev]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dev {
    /// Keys of `.env` to set with `--dev`; taken out again when production is installed over it.
    pub env: BTreeMap<String, String>,
    /// Images to build that no compose service builds.
    pub images: Vec<DevImage>,
}

/// `[[dev.images]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevImage {
    /// What to tag it; `{version}` stands for the version.
    pub tag: String,
    /// The build context, from the root.
    pub context: String,
    /// The Dockerfile, from the root.
    pub dockerfile: String,
    /// The key of `.env` that is set to the tag.
    pub key: Option<String>,
}

/// `[[secrets]]`: generated, in hex, when the template has no value or a placeholder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// The key.
    pub key: String,
    /// How many hex digits.
    pub length: usize,
}

/// `[services.<name>]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceRule {
    /// Whether the new container may run beside the old.
    pub beside: Option<bool>,
    /// How long to wait until it is healthy.
    #[serde(deserialize_with = "duration::read_some", skip_serializing)]
    pub patience: Option<Duration>,
    /// How long the old may take to end once its port is wanted, before it is killed.
    #[serde(deserialize_with = "duration::read_some", skip_serializing)]
    pub drain: Option<Duration>,
}

/// `[health]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthRule {
    /// How long everything must stay up before a run counts as a success (Nomad's `min_healthy_time`).
    #[serde(deserialize_with = "duration::read_some", skip_serializing)]
    pub settle: Option<Duration>,
}

impl Default for HealthRule {
    fn default() -> Self {
        Self { settle: Some(Duration::from_secs(10)) }
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookTime {
    /// Once, at the first install.
    FirstRun,
    /// At each install and update.
    Release,
}

/// `[[hooks]]`: a program run in a service's new container once it is healthy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// For messages.
    pub name: String,
    /// When.
    pub when: HookTime,
    /// Where.
    pub service: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Left out when the container has no such path (relative: to its working folder).
    pub requires_path: Option<String>,
    /// Left out when the container's environment has no such variable, or an empty one.
    pub requires_env: Option<String>,
    /// Killed after this; 10 minutes when not given.
    #[serde(default, deserialize_with = "duration::read_some", skip_serializing)]
    pub timeout: Option<Duration>,
}

/// `[[backups]]`: a program run in a running container whose standard output is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// The file's name under `.xr/backups/`.
    pub name: String,
    /// Services whose image has this name (`postgres` of `docker.io/library/postgres:15`); `*` for all of them.
    pub image: String,
    /// Images of other names in which the same program serves (`postgis` for `postgres`).
    #[serde(default)]
    pub kin: Vec<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The program that puts such a backup back, and its arguments: it is run with one more, which names the
    /// [part of the work](RestorePart).
    pub restore: Option<Vec<String>>,
    /// Left out when the container has no such program on its PATH.
    pub requires_program: Option<String>,
    /// Left out when this program and its arguments do not end with exit code 0 in the container.
    pub requires: Option<Vec<String>>,
    /// What stands near the end of a backup that is complete.
    pub ends_with: Option<String>,
    /// Broken off when it has said nothing for this long; 10 minutes when not given.
    #[serde(default, deserialize_with = "duration::read_some", skip_serializing)]
    pub timeout: Option<Duration>,
}

/// A part of putting a backup back, and the last argument of the program that does it. Each may be broken off anywhere and
/// run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePart {
    /// Reads the backup and makes its data anew, beside those in use and without touching them.
    Load,
    /// Sets the data in use aside and what was loaded in their place, all or nothing.
    Swap,
    /// The opposite of both: what was set aside is in use again, what was loaded is gone.
    Back,
    /// Throws away what was set aside.
    Done,
}

impl RestorePart {
    /// The argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Swap => "swap",
            Self::Back => "back",
            Self::Done => "done",
        }
    }
}

impl Backup {
    /// Whether it is meant for services of every image.
    pub fn is_for_all(&self) -> bool {
        self.image == "*"
    }

    /// Whether it is meant for an image with this last name.
    pub fn fits(&self, image: &str) -> bool {
        self.is_for_all() || self.image == image || self.kin.iter().any(|kin| kin == image)
    }

    /// The program and all its arguments for a part of putting a backup back; none when the manifest has no such program.
    pub fn restore(&self, part: RestorePart) -> Option<Vec<String>> {
        let command = self.restore.as_ref().filter(|command| !command.is_empty())?;
        Some(command.iter().cloned().chain([part.as_str().to_owned()]).collect())
    }
}

/// `[[smoke]]`: a URL to ask on a published port.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// The service that publishes the port.
    pub service: String,
    /// The path, e.g. `/api/`.
    pub path: String,
    /// The status expected; any below 500 when not given.
    pub status: Option<u16>,
    /// What the body must contain; `{version}` stands for the version.
    pub contains: Option<String>,
}

/// `[[folders]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// From the root, or absolute; `{name}` stands for the product's name.
    pub path: String,
    /// Octal, e.g. `"0755"`.
    pub mode: Option<String>,
}

/// `[certificate]`: self-signed, made when missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The folder, from the root.
    pub directory: String,
    /// The certificate's file name.
    pub certificate: String,
    /// The key's file name.
    pub key: String,
    /// Only when the compose file's text mentions the folder's last part.
    #[serde(default)]
    pub if_mentioned: bool,
}

/// `[database]`: keys of `.env` that name the PostgreSQL server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The host's key.
    pub host: String,
    /// The port's key.
    pub port: String,
    /// The user's key.
    pub user: String,
    /// The password's key.
    pub password: String,
    /// The database's key.
    pub name: String,
    /// Hosts that mean "in this stack".
    pub local: Vec<String>,
}

/// `[worker]`: what runs on remote workers. Without an agent and without images of its own a stack has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerRule {
    /// The compose service whose container each worker runs too, with its environment and its mounts of the host's folders.
    pub agent: Option<String>,
    /// What is different there: `{worker}` stands for the worker's name, `{server}` for the address under which it reaches
    /// the server, `{version}` for the version, `${KEY}` for a setting of `.env`.
    pub env: BTreeMap<String, String>,
    /// The service or image of [`Manifest::images`] that tasks run in; the first such image when not given.
    pub task: Option<String>,
    /// A file in the agent's container that it touches with each heartbeat.
    pub heartbeat: Option<String>,
    /// How long a new agent may take to be up.
    #[serde(deserialize_with = "duration::read_some", skip_serializing)]
    pub patience: Option<Duration>,
}

/// `[requirements]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Free disk for images, MiB.
    pub disk_mib: u64,
}

impl Default for Requirements {
    fn default() -> Self {
        Self { memory_mib: 512, disk_mib: 1024 }
    }
}

/// `[keep]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Generations, the current and the previous always among them.
    pub generations: usize,
    /// Backups.
    pub backups: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { generations: 5, backups: 5 }
    }
}

/// `[trust]`: who signs the releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// Whether a release is refused that is not signed with one of the keys.
    pub required: bool,
    /// Files with public keys, from the root: OpenPGP, SSH (one key, or `allowed_signers`), minisign.
    pub keys: Vec<String>,
    /// The file, from the root, that lists the release's images by digest; its minisign signature is beside it (`.minisig`).
    pub list: String,
}

impl Default for Trust {
    fn default() -> Self {
        Self { required: false, keys: Vec::new(), list: "release.lock".into() }
    }
}

impl Trust {
    /// The signature of the list, from the root.
    pub fn signature(&self) -> String {
        format!("{}.minisig", self.list)
    }

    /// Every file that a release brings for its own trust, from the root.
    pub fn files(&self) -> Vec<String> {
        self.keys.iter().cloned().chain([self.list.clone(), self.signature()]).collect()
    }
}
