//! Many SSH hosts on loopback. They share this machine; to SSH each is a destination with an address of its own.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use duct::cmd;
use tempfile::TempDir;

use crate::registry::free_port;
use crate::shell::run;
use crate::{Layout, ssh_farm::server::Server};

mod server;

/// An sshd takes no more `ListenAddress` lines.
const ADDRESSES: usize = 16;
/// 127.0.0.2 … 127.0.0.254
const MOST: usize = 253;
const JUMP: &str = "127.0.1.1";

/// How many connections that have not logged in yet an sshd bears. One sshd of a farm is up to sixteen hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStartups {
    /// What admins have: of more than ten it drops some, at random.
    Default,
    /// So many that none is ever dropped, as with hosts that are machines of their own.
    Raised,
}

/// How client and host agree on a key, which is most of what a connection costs the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kex {
    /// What this OpenSSH prefers: since 9.0 sntrup761 beside x25519.
    Default,
    /// Only curve25519-sha256, at a tenth of the cost.
    Curve25519,
}

/// Hosts `farm-1`, `farm-2`, …, into which root logs in with one key. Dropping it ends their sshd and all sessions.
#[derive(Debug)]
pub struct SshFarm {
    dir: TempDir,
    port: u16,
    count: usize,
    hosts: Vec<Server>,
    jump: Option<Server>,
}

impl SshFarm {
    /// So many hosts, each reached directly.
    ///
    /// # Errors
    /// When an sshd does not start.
    pub fn start(layout: &Layout, count: usize, max_startups: MaxStartups) -> Result<Self> {
        ensure!((1..=MOST).contains(&count), "a farm has 1 to {MOST} hosts, not {count}");
        let dir = tempfile::Builder::new().prefix("farm-").tempdir_in(layout.join("run"))?;
        for key in ["host_key", "id"] {
            let path = dir.path().join(key);
            run("ssh-keygen", cmd!("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "farm", "-f", path))?;
        }
        std::fs::create_dir(dir.path().join("bin"))?;
        std::fs::create_dir_all("/run/sshd")?; // sshd's empty root for what it does not trust yet; made by Debian at boot
        let mut farm = Self { dir, port: free_port()?, count, hosts: Vec::new(), jump: None };
        for addresses in farm.addresses().chunks(ADDRESSES) {
            farm.hosts.push(Server::start(layout, farm.dir.path(), addresses, farm.port, max_startups)?);
        }
        std::fs::write(farm.dir.path().join("known_hosts"), farm.known_hosts()?)?;
        Ok(farm)
    }

    /// So many hosts behind one jump host, `farm-jump`, whose sshd has the default `MaxStartups`.
    ///
    /// # Errors
    /// When an sshd does not start.
    pub fn behind_jump(layout: &Layout, count: usize) -> Result<Self> {
        let mut farm = Self::start(layout, count, MaxStartups::Raised)?;
        let jump = [JUMP.to_owned()];
        farm.jump = Some(Server::start(layout, farm.dir.path(), &jump, farm.port, MaxStartups::Default)?);
        Ok(farm)
    }

    /// The destinations, by the names that the client's configuration knows.
    pub fn destinations(&self) -> Vec<String> {
        (1..=self.count).map(|number| format!("farm-{number}")).collect()
    }

    /// The address of each destination, for clients that read no configuration.
    pub fn addresses(&self) -> Vec<String> {
        (1..=self.count).map(|number| format!("127.0.0.{}", number + 1)).collect()
    }

    /// The port of all of them, the jump host too.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The private key that root accepts.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("id")
    }

    /// Writes the client's configuration, for `ssh -F`; its host keys are already known.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn config(&self, kex: Kex) -> Result<PathBuf> {
        let path = self.dir.path().join(format!("config-{kex:?}").to_lowercase());
        std::fs::write(&path, self.config_text(kex)?)?;
        Ok(path)
    }

    /// What [`SshFarm::config`] writes.
    ///
    /// # Errors
    /// None but of formatting.
    pub fn config_text(&self, kex: Kex) -> Result<String> {
        let mut text = String::new();
        for (name, address) in self.destinations().iter().zip(self.addresses()) {
            write!(text, "Host {name}\n    HostName {address}\n")?;
        }
        if self.jump.is_some() {
            write!(text, "Host farm-jump\n    HostName {JUMP}\nHost farm-* !farm-jump\n    ProxyJump farm-jump\n")?;
        }
        let dir = self.dir.path().display();
        let kex = if kex == Kex::Curve25519 { "    KexAlgorithms curve25519-sha256\n" } else { "" };
        write!(
            text,
            "Host farm-*\n    User root\n    Port {}\n    IdentityFile {dir}/id\n    IdentitiesOnly yes\n    \
             UserKnownHostsFile {dir}/known_hosts\n    StrictHostKeyChecking yes\n{kex}",
            self.port
        )?;
        Ok(text)
    }

    /// Lines for a `known_hosts` file.
    ///
    /// # Errors
    /// When the host key cannot be read.
    pub fn known_hosts(&self) -> Result<String> {
        let key = std::fs::read_to_string(self.dir.path().join("host_key.pub"))?;
        let addresses = self.addresses();
        let all = addresses.iter().map(String::as_str).chain([JUMP]);
        Ok(all.map(|address| format!("[{address}]:{} {key}", self.port)).collect())
    }

    /// Puts a program of this name first on the hosts' PATH. `$SSH_CONNECTION` tells it which host it is on (third word).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stand_in(&self, program: &str, script: &str) -> Result<()> {
        let path = self.bin().join(program);
        std::fs::write(&path, script)?;
        Ok(std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?)
    }

    fn bin(&self) -> PathBuf {
        server::bin(self.dir.path())
    }

    /// Connections that hosts and jump host have dropped for their `MaxStartups`.
    pub fn refused(&self) -> usize {
        self.hosts.iter().chain(&self.jump).map(Server::refused).sum()
    }

    /// How often somebody has logged in to a host.
    pub fn logins(&self) -> usize {
        self.hosts.iter().map(Server::logins).sum()
    }

    /// How often somebody has logged in to the jump host.
    pub fn jump_logins(&self) -> usize {
        self.jump.iter().map(Server::logins).sum()
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}
