//! One sshd of a farm: a process that listens on several addresses and writes down whom it dropped.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::MaxStartups;
use crate::{Daemon, Layout, wait_for};

/// Ended with all its sessions when dropped.
#[derive(Debug)]
pub(super) struct Server {
    daemon: Daemon,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(
        layout: &Layout,
        dir: &Path,
        addresses: &[String],
        port: u16,
        max_startups: MaxStartups,
    ) -> Result<Self> {
        let name = format!("sshd-{}-{port}", addresses[0]);
        let config = dir.join(format!("{name}.conf"));
        std::fs::write(&config, settings(dir, &name, addresses, port, max_startups)?)?;
        // Its hosts find the lab's engine where every host has its own, and nobody else does. Their root has a home without
        // what this machine's root has a shell do at each login.
        let script = format!(
            "mount -t tmpfs farm /run && mkdir -p /run/sshd /run/home && ln -s '{}' /run/docker.sock && \
             sed 's|^root:\\(.*\\):[^:]*:|root:\\1:/run/home:|' /etc/passwd >/run/passwd && mount --bind /run/passwd /etc/passwd && \
             exec /usr/sbin/sshd -D -e -f '{}'",
            layout.socket().display(),
            config.display()
        );
        let argv = ["unshare", "--mount", "--propagation=slave", "sh", "-c", &script].map(str::to_owned);
        let daemon = Daemon::start(layout, &name, &argv)?;
        let server = Self { daemon, log: layout.join(&format!("log/{name}.log")) };
        let listening = || server.said("Server listening on ") == addresses.len();
        wait_for(&name, Duration::from_secs(10), || listening() || !server.daemon.alive())?;
        ensure!(listening(), "{name} ended: {}", server.text());
        Ok(server)
    }

    pub fn refused(&self) -> usize {
        self.said("past MaxStartups")
    }

    pub fn logins(&self) -> usize {
        self.said("Accepted publickey")
    }

    fn said(&self, what: &str) -> usize {
        self.text().lines().filter(|line| line.contains(what)).count()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A session outlives the process that listens.
        let _ = self.daemon.stop_with_children(Duration::from_secs(5));
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Programs that come first on the hosts' PATH.
pub(super) fn bin(dir: &Path) -> PathBuf {
    dir.join("bin")
}

/// Debian's sshd_config but for PAM, and for a key file that may be below a folder which others can write to.
fn settings(
    dir: &Path,
    name: &str,
    addresses: &[String],
    port: u16,
    max_startups: MaxStartups,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for address in addresses {
        writeln!(text, "ListenAddress {address}:{port}")?;
    }
    if max_startups == MaxStartups::Raised {
        writeln!(text, "MaxStartups 1000")?;
    }
    let (place, bin) = (dir.display(), bin(dir));
    write!(
        text,
        "HostKey {place}/host_key\nAuthorizedKeysFile {place}/id.pub\nStrictModes no\nPidFile {place}/{name}.pid\n\
         LogLevel VERBOSE\nSetEnv PATH={}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         KbdInteractiveAuthentication no\nUsePAM no\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\n",
        bin.display()
    )?;
    Ok(text)
}
