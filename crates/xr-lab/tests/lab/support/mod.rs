//! OpenSSH's client as a test calls it: it trusts the hosts that it was told of, and reads no settings of this machine.

use anyhow::Result;
use duct::{Expression, cmd};
use tempfile::NamedTempFile;
use xr_lab::Host;

/// A client for some hosts.
pub struct Client {
    settings: NamedTempFile,
    _known: NamedTempFile,
}

impl Client {
    pub fn of(hosts: &[&Host]) -> Result<Self> {
        let (settings, known) = (NamedTempFile::new()?, NamedTempFile::new()?);
        let keys: Result<String> = hosts.iter().map(|host| host.known_hosts()).collect();
        std::fs::write(&known, keys?)?;
        let key = hosts.first().map(|host| host.ssh_key().display().to_string()).unwrap_or_default();
        let known_path = known.path().display();
        std::fs::write(
            &settings,
            format!("BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile {known_path}\nIdentityFile {key}\n"),
        )?;
        Ok(Self { settings, _known: known })
    }

    /// `ssh <argv>`
    pub fn ssh(&self, argv: &[&str]) -> Expression {
        let settings = self.settings.path().display().to_string();
        cmd("ssh", ["-F", &settings].iter().chain(argv))
    }
}
