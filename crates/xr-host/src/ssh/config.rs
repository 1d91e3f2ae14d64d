//! The settings that ssh is called with: the admin's own come first, and win.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use xr_model::{Fault, Result};

use crate::Cmd;

/// Where an admin's settings are when not where ssh looks for them.
const ELSEWHERE: &str = "XR_SSH_CONFIG";
/// The settings of the whole machine.
const MACHINE: &str = "/etc/ssh/ssh_config";

/// The files that ssh is called with.
#[derive(Debug)]
pub(super) struct Config {
    /// The settings.
    pub path: PathBuf,
    /// Host keys that the admin has accepted through xr.
    pub known_hosts: PathBuf,
    /// Whether the admin has connections shared: then they are asked for first.
    shares: bool,
}

impl Config {
    /// Writes the settings into `folder`, when they are not there. `admins` are the admin's own, as ssh spells paths.
    pub fn write(folder: &Path, patience: Duration, admins: &str) -> Result<Self> {
        let config =
            Self { path: folder.join("config"), known_hosts: folder.join("known_hosts"), shares: shares(admins) };
        let text = text(&config.known_hosts, patience, admins);
        if fs::read_to_string(&config.path).is_ok_and(|present| present == text) {
            return Ok(config);
        }
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let next = folder.join(format!("config.{}", std::process::id()));
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&next)?;
            file.write_all(text.as_bytes())?;
            fs::rename(next, &config.path)
        };
        write().map_err(Fault::at(format!("cannot write {}", config.path.display())))?;
        Ok(config)
    }

    /// The socket of the admin's own shared connection to a host, when the settings name one that is there.
    pub async fn admins_socket(&self, destination: &str) -> Option<PathBuf> {
        if !self.shares {
            return None;
        }
        let asked = Cmd::new("ssh").args(["-G", "-F"]).arg(&self.path).args(["--", destination]);
        let said = asked.run_async().await.ok()?.text();
        let path = said.lines().find_map(|line| line.strip_prefix("controlpath "))?;
        Some(PathBuf::from(path)).filter(|path| path.exists())
    }
}

/// The admin's own settings.
pub(super) fn admins() -> String {
    std::env::var(ELSEWHERE).ok().filter(|path| !path.is_empty()).unwrap_or_else(|| "~/.ssh/config".to_owned())
}

fn text(known_hosts: &Path, patience: Duration, admins: &str) -> String {
    let seconds = patience.as_secs().max(1);
    format!(
        "# Written by xr, which calls ssh with it. ssh takes the first value that it finds for a setting.\n\
         StrictHostKeyChecking yes\n\
         Include \"{}\"\n\
         Include {MACHINE}\n\
         Match all\n\
         \x20   GlobalKnownHostsFile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2 \"{}\"\n\
         \x20   ConnectTimeout {seconds}\n\
         \x20   ServerAliveInterval 5\n\
         \x20   ServerAliveCountMax 3\n",
        admins,
        known_hosts.display(),
    )
}

/// Whether any file of settings may name a socket for shared connections. Asking ssh for each host costs a process.
fn shares(admins: &str) -> bool {
    let own = match admins {
        path if path.starts_with("~/") => std::env::home_dir().unwrap_or_default().join(&path[2..]),
        path => PathBuf::from(path),
    };
    let speaks = |path: &Path, words: &[&str]| {
        fs::read_to_string(path).is_ok_and(|text| {
            let lines = text.lines().map(|line| line.trim_start().to_lowercase());
            lines.into_iter().any(|line| words.iter().any(|word| line.starts_with(word)))
        })
    };
    let more = fs::read_dir("/etc/ssh/ssh_config.d").into_iter().flatten().flatten();
    speaks(&own, &["controlpath", "include"])
        || speaks(Path::new(MACHINE), &["controlpath"])
        || more.into_iter().any(|entry| speaks(&entry.path(), &["controlpath"]))
}

/// A short name for a destination under these settings.
pub(super) fn name_of(destination: &str, config: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    (destination, config).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
