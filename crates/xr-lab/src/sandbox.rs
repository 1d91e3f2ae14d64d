//! Namespaces of the lab's own: network, mounts and processes. Nothing that runs in them changes the machine's bridges,
//! firewall, routes or mounts, and all of it ends with the first process, however that ends.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use duct::{Expression, cmd};

use crate::environment::HASTE;
use crate::{Daemon, Layout, cgroups, wait_for};

/// Set for whatever runs inside: the lab's folder.
const INSIDE: &str = "XR_LAB_INSIDE";
const NAME: &str = "sandbox";

/// The namespaces of a running lab, seen from the machine.
#[derive(Debug)]
pub struct Sandbox {
    layout: Layout,
    /// `unshare`, which waits for the first process and takes it along when it ends.
    daemon: Daemon,
    owned: bool,
}

/// Whether this process runs in the namespaces of this lab.
pub(crate) fn inside(layout: &Layout) -> bool {
    std::env::var_os(INSIDE).is_some_and(|root| Path::new(&root) == layout.root())
}

impl Sandbox {
    /// The one of this lab that runs.
    pub fn running(layout: &Layout) -> Option<Self> {
        let daemon = Daemon::named(layout, NAME).filter(Daemon::alive)?;
        layout.join("run/sandbox.ready").exists().then(|| Self { layout: layout.clone(), daemon, owned: false })
    }

    /// A new one, in place of what runs in this folder. It ends when this value is dropped, or this process killed.
    ///
    /// # Errors
    /// When the machine lets nobody make namespaces.
    pub fn owned(layout: &Layout) -> Result<Self> {
        end(layout)?;
        Self::start(layout, true)
    }

    /// A new one, which stays when this process ends.
    pub(crate) fn lasting(layout: &Layout) -> Result<Self> {
        end(layout)?;
        Self::start(layout, false)
    }

    fn start(layout: &Layout, owned: bool) -> Result<Self> {
        let ready = layout.join("run/sandbox.ready");
        let _ = std::fs::remove_file(&ready);
        let tie: &[&str] = if owned { &["setpriv", "--pdeathsig", "KILL"] } else { &[] };
        let unshare = "exec 9</proc/self/ns/net; exec unshare --net --mount --pid --ipc --fork --kill-child --mount-proc \
             -- sh -c \"$0\" sandbox \"$@\"";
        let own = ["sh", "-c", unshare, include_str!("sandbox.sh")];
        let (root, engine) = (layout.root().display().to_string(), layout.engine().folder()?.display().to_string());
        let argv: Vec<String> = tie.iter().chain(&own).map(|word| (*word).to_owned()).chain([root, engine]).collect();
        let daemon = Daemon::start(layout, NAME, &argv)?;
        wait_for("the lab's namespaces", Duration::from_secs(20), || !daemon.alive() || ready.exists())?;
        ensure!(daemon.alive(), "cannot make namespaces: {}", std::fs::read_to_string(layout.join("log/sandbox.log"))?);
        Ok(Self { layout: layout.clone(), daemon, owned })
    }

    /// A command in it.
    ///
    /// # Errors
    /// When its first process has gone.
    pub fn command(&self, argv: &[&str]) -> Result<Expression> {
        let nsenter = self.nsenter()?;
        let all = nsenter.iter().map(String::as_str).chain(argv.iter().copied());
        Ok(self
            .surroundings()?
            .into_iter()
            .fold(cmd("nsenter", all), |command, (name, value)| command.env(name, value)))
    }

    /// What programs in it find in their environment.
    fn surroundings(&self) -> Result<Vec<(&'static str, OsString)>> {
        let engine = self.layout.engine();
        let own = [
            (INSIDE, self.layout.root().into()),
            ("XR_LAB_ENGINE", engine.name.into()),
            ("PATH", engine.path()?.into()),
        ];
        Ok(own.into_iter().chain(HASTE.map(|(name, value)| (name, value.into()))).collect())
    }

    /// Goes on in it: this program begins anew there, with the same arguments, and this process becomes the one that waits.
    ///
    /// # Errors
    /// Always, when it returns.
    pub(crate) fn enter(&self) -> Result<Infallible> {
        let error = Command::new("nsenter")
            .args(self.nsenter()?)
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .envs(self.surroundings()?)
            .exec();
        Err(error).context("cannot enter the lab's namespaces")
    }

    fn nsenter(&self) -> Result<Vec<String>> {
        let children = format!("/proc/{0}/task/{0}/children", self.daemon.pid);
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        let first = text.split_whitespace().next().context("the lab's first process has ended")?;
        let folder = std::env::current_dir()?;
        let folder = format!("--wdns={}", folder.display());
        let argv = ["--target", first, "--net", "--mount", "--pid", "--ipc", &folder, "--"];
        Ok(argv.map(str::to_owned).to_vec())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.owned {
            #[allow(clippy::print_stderr, reason = "a destructor has no other way to tell")]
            if let Err(error) = end(&self.layout) {
                eprintln!("lab: cannot end {}: {error:#}", self.layout.root().display());
            }
        }
    }
}

/// Kills the first process, and so everything that runs in it; the kernel takes mounts, links and rules away with the last.
pub(crate) fn end(layout: &Layout) -> Result<()> {
    if let Some(daemon) = Daemon::named(layout, NAME) {
        daemon.kill()?;
    }
    for name in ["run/sandbox.ready", "run/sandbox.daemon", "run/slirp.sock", "run/docker.sock"] {
        let _ = std::fs::remove_file(layout.join(name));
    }
    cgroups::sweep(layout)
}
