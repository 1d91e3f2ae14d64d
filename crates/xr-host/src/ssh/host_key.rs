//! The key of a host that was never accepted: shown before anything else is said to that host.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
};

use xr_model::{Fault, Result};

use super::Ssh;
use crate::Cmd;

/// The key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// As `ssh-keygen -l` tells it: `256 SHA256:… (ED25519)`.
    pub fingerprint: String,
    /// The line of `known_hosts`.
    line: String,
}

impl Ssh {
    /// Asks a host for its key. Nothing else is said to it, and nothing is accepted.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn unknown_key(&self, destination: &str) -> Result<HostKey> {
        // ssh itself goes the admin's way there (jump hosts, ports) and notes the key; without a way to log in it ends there.
        let noted = self.sockets.join(format!("key-{}", std::process::id()));
        let _ = fs::remove_file(&noted);
        let file = format!("UserKnownHostsFile={}", noted.display());
        let asked = Cmd::new("ssh").args(["-F"]).arg(&self.config.path).args([
            "-o",
            "StrictHostKeyChecking=accept-new",
            "-o",
            &file,
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "HashKnownHosts=no",
            "-o",
            "BatchMode=yes",
            "-o",
            "PreferredAuthentications=none",
            "-o",
            "ControlPath=none",
            "--",
            destination,
            "true",
        ]);
        let said = asked.patience(self.patience).run_async().await?;
        let line = fs::read_to_string(&noted).ok().and_then(|text| text.lines().next().map(str::to_owned));
        let told = Cmd::new("ssh-keygen").args(["-l", "-f"]).arg(&noted).run_async().await;
        let _ = fs::remove_file(&noted);
        let Some(line) = line else {
            return Err(super::Unreached::read(destination, &said.error_text()).fault);
        };
        let told = told?.text();
        // `256 SHA256:… host (ED25519)`: the host stands in the question already.
        let words: Vec<&str> = told.split_whitespace().collect();
        let fingerprint = match words.as_slice() {
            [bits, print, .., kind] => format!("{bits} {print} {kind}"),
            _ => told,
        };
        Ok(HostKey { fingerprint, line })
    }

    /// Accepts a key: from now on the host must have it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn accept(&self, key: &HostKey) -> Result<()> {
        let path = &self.config.known_hosts;
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            writeln!(file, "{}", key.line)?;
            file.sync_all()
        };
        write().map_err(Fault::at(format!("cannot write {}", path.display())))
    }

    /// Forgets what was accepted for a host, under the names that ssh knows it by.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget(&self, destination: &str) -> Result<()> {
        if !self.config.known_hosts.exists() {
            return Ok(());
        }
        let asked = Cmd::new("ssh").args(["-G", "-F"]).arg(&self.config.path).args(["--", destination]);
        let said = asked.run_async().await?.text();
        let value =
            |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or_default();
        let (host, port, alias) = (value("hostname"), value("port"), value("hostkeyalias"));
        let name = match (alias, port) {
            ("" | "none", "22") => host.to_owned(),
            ("" | "none", _) => format!("[{host}]:{port}"),
            (alias, _) => alias.to_owned(),
        };
        let cmd = Cmd::new("ssh-keygen").args(["-q", "-R", &name, "-f"]).arg(&self.config.known_hosts);
        cmd.run_async().await.map(drop)
    }
}
