//! A host: a container that is a whole machine, with sshd and, if its kind says so, a Docker engine of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use duct::cmd;
use serde_json::{Value, json};

use crate::ask::answers;
use crate::environment::HASTE;
use crate::lock::lock_file;
use crate::shell::run;
use crate::{Base, Engine, Layout, Registry, wait_for};

mod disk;
mod hidden;
mod host_faults;
mod network_faults;
mod slow;

use disk::Disk;
use hidden::Hidden;
pub use slow::SlowLine;

/// Held by who is given an address, so that a host that boots anew finds its own free.
const ADDRESSES: &str = "addresses.lock";

/// What every host has in it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Joins the control groups of the process that is its first argument, then its namespaces, and becomes the program that the
/// others name.
const ENTER: &str = r#"
pid=$1
shift
while IFS=: read -r _ kinds path; do
    for group in "/sys/fs/cgroup/${kinds#name=}$path" "/sys/fs/cgroup/unified$path"; do
        [ ! -w "$group/cgroup.procs" ] || echo $$ >"$group/cgroup.procs" || exit 1
    done
done <"/proc/$pid/cgroup"
exec env -i "PATH=$PATH" "HOME=$HOME" nsenter -t "$pid" -m -u -i -n -p -r -w "$@"
"#;

/// What a host has installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// Debian 13 with sshd and sudo only; apt works.
    Fresh,
    /// Debian 13 with Docker, compose, git and curl.
    Docker,
    /// Debian 12 with sshd and sudo only; apt works.
    Bookworm,
}

impl HostKind {
    pub(crate) fn base(self) -> Base {
        match self {
            Self::Fresh => Base::HostFresh,
            Self::Docker => Base::HostDocker,
            Self::Bookworm => Base::HostBookworm,
        }
    }
}

/// A host that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct HostSpec<'a> {
    /// What it has installed.
    pub kind: HostKind,
    /// MiB of a disk of its own under `/var/lib/docker`, which can be filled; else it has the room of this machine.
    pub disk_mib: Option<u32>,
    /// A host through which alone it can be reached.
    pub behind: Option<&'a Host>,
}

impl HostSpec<'_> {
    /// A plain one.
    pub fn of(kind: HostKind) -> Self {
        Self { kind, disk_mib: None, behind: None }
    }
}

/// What a command on a host did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; 137 after a kill, as in a shell.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// A running host. Dropping it removes it with its disk.
#[derive(Debug)]
pub struct Host {
    name: String,
    container: String,
    address: String,
    key: PathBuf,
    layout: Layout,
    engine: Engine,
    kind: HostKind,
    disk: Option<Disk>,
    hidden: Option<Hidden>,
}

impl Host {
    pub(crate) fn start(
        layout: &Layout,
        engine: &Engine,
        registry: &Registry,
        spec: &HostSpec<'_>,
        name: &str,
    ) -> Result<Self> {
        let key = ssh_key(layout)?;
        let container = format!("xr-lab-{name}");
        let _ = engine.docker(&["rm", "-fv", &container]);
        let hidden = spec.behind.map(Hidden::behind).transpose()?;
        let disk = spec.disk_mib.map(|mib| Disk::make(layout, &container, mib)).transpose()?;
        let mut argv = vec!["create", "--name", &container, "--hostname", name];
        // `--privileged` without SYS_RESOURCE, which some machines do not have to give
        argv.extend(["--cap-add=ALL", "--cap-drop=SYS_RESOURCE"]);
        argv.extend(["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]);
        // as on any machine: what is there does not outlive a power cut
        argv.push("--tmpfs=/run:mode=755");
        let hasty = HASTE.map(|(name, value)| format!("--env={name}={value}"));
        let own = disk.iter().map(Disk::option).chain(hidden.iter().map(Hidden::option));
        let more: Vec<String> = own.chain(hasty).collect();
        argv.extend(more.iter().map(String::as_str));
        argv.extend(["--volume=/sys/fs/cgroup:/sys/fs/cgroup", spec.kind.base().name()]);
        engine.docker(&argv)?;
        let (name, layout, engine) = (name.to_owned(), layout.clone(), engine.clone());
        let mut host =
            Self { name, container, address: String::new(), key, layout, engine, kind: spec.kind, disk, hidden };

        host.put_settings(&registry.address_for_hosts(&host.engine))?;
        {
            let _lock = lock_file(&host.layout, ADDRESSES)?;
            host.engine.docker(&["start", &host.container])?;
        }
        host.address = host.read_address()?;
        host.wait_for_boot()?;
        Ok(host)
    }

    /// Until it does what its kind does.
    fn wait_for_boot(&self) -> Result<()> {
        let address = format!("{}:22", self.address);
        wait_for(&format!("sshd on {}", self.name), Duration::from_secs(20), || {
            std::net::TcpStream::connect(&address).is_ok()
        })?;
        if self.kind == HostKind::Docker {
            self.wait_for_engine()?;
        }
        self.hidden.as_ref().map_or(Ok(()), |hidden| hidden.hide(self))
    }

    fn wait_for_engine(&self) -> Result<()> {
        let socket = Path::new("/proc").join(self.pid()?).join("root/run/docker.sock");
        wait_for(&format!("the engine on {}", self.name), Duration::from_secs(60), || answers(&socket))
    }

    /// Its name, which is also its hostname.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IP address, reachable from this machine and from other hosts.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The private key that root and admin accept.
    pub fn ssh_key(&self) -> &Path {
        &self.key
    }

    /// Lines for a `known_hosts` file.
    pub fn known_hosts(&self) -> Result<String> {
        let output = self.sh("cat /etc/ssh/ssh_host_*_key.pub")?;
        let lines: Vec<String> = output.stdout.lines().map(|key| format!("{} {key}", self.address)).collect();
        Ok(lines.join("\n") + "\n")
    }

    /// Runs a command as root, not through SSH. A command that fails is an answer, not an error.
    ///
    /// It is one of the host's own: it goes into its namespaces and control groups, which takes a tenth of what `docker exec`
    /// does.
    pub fn exec(&self, argv: &[&str]) -> Result<Output> {
        let pid = self.pid()?;
        let enter = ["-c", ENTER, "sh", pid.as_str()].into_iter().chain(argv.iter().copied());
        let command = cmd("sh", enter).env("PATH", PATH).env("HOME", "/root");
        let output = command.stdin_null().stdout_capture().stderr_capture().unchecked().run()?;
        Ok(Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a shell script as root.
    pub fn sh(&self, script: &str) -> Result<Output> {
        self.exec(&["sh", "-c", script])
    }

    /// Runs a shell script as root that must succeed; the answer is what it printed.
    pub fn must(&self, script: &str) -> Result<String> {
        let output = self.sh(script)?;
        anyhow::ensure!(
            output.success(),
            "on {}: {script}: exit {}\n{}{}",
            self.name,
            output.code,
            output.stdout,
            output.stderr
        );
        Ok(output.stdout.trim_end().to_owned())
    }

    /// Copies a file or directory of this machine onto the host.
    pub fn copy_in(&self, path: &Path, dest: &str) -> Result<()> {
        let from = path.display().to_string();
        self.engine.docker(&["cp", &from, &format!("{}:{dest}", self.container)]).map(drop)
    }

    /// Writes files on the host, with the directories above them.
    fn put(&self, files: &[(&str, &str)]) -> Result<()> {
        let root = tempfile::tempdir()?;
        for (dest, text) in files {
            let file = root.path().join("root").join(dest.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().context("a file needs a directory")?)?;
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        }
        self.engine
            .docker(&["cp", &format!("{}/.", root.path().join("root").display()), &format!("{}:/", self.container)])
            .map(drop)
    }

    /// Registry mirror and keys, before the machine first starts: Docker may come later and must find them.
    fn put_settings(&self, registry: &str) -> Result<()> {
        let daemon = json!({
            "registry-mirrors": [format!("http://{registry}")],
            "insecure-registries": [registry],
        });
        let public = std::fs::read_to_string(self.key.with_extension("pub"))?;
        self.put(&[
            ("/etc/docker/daemon.json", &format!("{daemon:#}\n")),
            ("/etc/ssh/lab_keys", &public),
            ("/etc/ssh/sshd_config.d/lab.conf", "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/lab_keys\n"),
        ])
    }

    fn read_address(&self) -> Result<String> {
        let told = self.inspect()?;
        let networks = told["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let mut addresses = networks.filter_map(|(_, place)| place["IPAddress"].as_str());
        addresses.find(|address| !address.is_empty()).map(str::to_owned).context("a host without an address")
    }

    /// What the engine says of it.
    fn inspect(&self) -> Result<Value> {
        let told = self.engine.ask(&format!("/containers/{}/json", self.container))?;
        told.with_context(|| format!("{} is gone", self.name))
    }

    /// Its first process, as this machine numbers it.
    fn pid(&self) -> Result<String> {
        Ok(self.inspect()?["State"]["Pid"].to_string())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.engine.docker(&["rm", "-fv", &self.container]);
        hidden::remove(&self.engine, &hidden::behind(&self.name));
    }
}

/// The lab's own key pair, made once.
fn ssh_key(layout: &Layout) -> Result<PathBuf> {
    let key = layout.join("home/id_ed25519");
    if !key.exists() {
        run("ssh-keygen", cmd!("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "xr-lab", "-f", &key))?;
    }
    Ok(key)
}
