//! A Docker engine of the lab's own: its own socket, storage, bridge and address range, beside whatever the machine runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use duct::{Expression, cmd};

use crate::shell::run;
use crate::{Daemon, Layout, Registry, wait_for};

mod slot;
mod sweep;

use slot::Slot;

const NAME: &str = "dockerd";

/// The engine. Dropping it does not stop it: the `Lab` does.
#[derive(Debug, Clone)]
pub struct Engine {
    layout: Layout,
    mirror: String,
    slot: Slot,
}

impl Engine {
    /// The engine of this lab, pulling Docker Hub's names from `mirror`.
    pub(crate) fn new(layout: &Layout, mirror: &Registry) -> Result<Self> {
        Ok(Self { layout: layout.clone(), mirror: mirror.address(), slot: Slot::of(layout)? })
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<()> {
        self.slot.take(&self.layout)?;
        let at = |name: &str| self.layout.join(name).display().to_string();
        let argv = [
            "dockerd".to_owned(),
            format!("--host=unix://{}", self.layout.socket().display()),
            format!("--data-root={}", at("docker")),
            format!("--exec-root={}", at("run/exec")),
            format!("--pidfile={}", at("run/dockerd.pid")),
            "--config-file=".to_owned() + &at("run/daemon.json"),
            format!("--bridge={}", self.slot.bridge()),
            format!("--default-address-pool={}", self.slot.networks()),
            format!("--registry-mirror=http://{}", self.mirror),
            format!("--insecure-registry={}/32", self.slot.gateway()),
            "--containerd-namespace=xr-lab".to_owned(),
            "--containerd-plugins-namespace=xr-lab-plugins".to_owned(),
            "--shutdown-timeout=10".to_owned(),
        ];
        std::fs::write(self.layout.join("run/daemon.json"), "{}")?;
        let daemon = Daemon::start(&self.layout, NAME, &argv)?;
        wait_for("the engine", Duration::from_secs(60), || !daemon.alive() || self.answers())?;
        if !daemon.alive() {
            anyhow::bail!("dockerd ended: see {}", self.layout.join("log/dockerd.log").display());
        }
        Ok(())
    }

    /// Stops it and its containers, as a shutdown of the machine would.
    pub fn stop(&self) -> Result<()> {
        if let Some(daemon) = Daemon::named(&self.layout, NAME) {
            daemon.stop(Duration::from_secs(30))?;
        }
        Ok(())
    }

    /// Kills it: containers go on, nothing is cleaned up.
    pub fn kill(&self) -> Result<()> {
        Daemon::named(&self.layout, NAME).context("no engine was started")?.kill()
    }

    /// Whether it answers on its socket.
    pub fn answers(&self) -> bool {
        let socket = self.layout.socket();
        cmd!("curl", "-fsS", "-m", "2", "--unix-socket", socket, "http://engine/_ping")
            .stdout_null()
            .stderr_null()
            .run()
            .is_ok()
    }

    /// `DOCKER_HOST` for this engine.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.layout.socket().display())
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.layout.socket()
    }

    /// The address under which containers on the lab's bridge reach this machine.
    pub fn gateway(&self) -> String {
        self.slot.gateway()
    }

    /// A `docker` command for this engine, to be run or refined by the caller.
    pub fn command(&self, argv: &[&str]) -> Expression {
        cmd("docker", argv)
            .env("DOCKER_HOST", self.docker_host())
            .env("DOCKER_CONFIG", self.layout.join("home/docker"))
            .env_remove("DOCKER_CONTEXT")
    }

    /// Runs `docker …`; the answer is what it printed.
    pub fn docker(&self, argv: &[&str]) -> Result<String> {
        run(&format!("docker {}", argv.join(" ")), self.command(argv))
    }

    /// Builds an image from a directory with the classic builder, which needs no plugin.
    pub fn build(&self, context: &Path, dockerfile: &Path, tag: &str, arguments: &[(&str, &str)]) -> Result<()> {
        let mut argv = vec!["build".to_owned(), "--quiet".to_owned(), format!("--tag={tag}")];
        argv.push(format!("--file={}", dockerfile.display()));
        argv.extend(arguments.iter().map(|(key, value)| format!("--build-arg={key}={value}")));
        argv.push(context.display().to_string());
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        run(&format!("docker build {tag}"), self.command(&argv).env("DOCKER_BUILDKIT", "0"))?;
        Ok(())
    }

    /// Removes every container, volume and network of this engine. Images stay.
    pub fn clear(&self) -> Result<()> {
        let containers = self.docker(&["ps", "-aq"])?;
        if !containers.is_empty() {
            let argv: Vec<&str> = ["rm", "-fv"].into_iter().chain(containers.lines()).collect();
            self.docker(&argv)?;
        }
        let volumes = self.docker(&["volume", "ls", "-q"])?;
        if !volumes.is_empty() {
            let argv: Vec<&str> = ["volume", "rm", "-f"].into_iter().chain(volumes.lines()).collect();
            self.docker(&argv)?;
        }
        self.docker(&["network", "prune", "-f"])?;
        Ok(())
    }

    /// Takes the engine's traces off the machine; call it when the engine has stopped or died.
    pub(crate) fn sweep(&self) -> Result<()> {
        sweep::processes(&self.layout)?;
        sweep::mounts(self.layout.root())?;
        self.slot.release(&self.layout)?;
        for name in ["run/docker.sock", "run/dockerd.pid", "run/daemon.json"] {
            let _ = std::fs::remove_file(self.layout.join(name));
        }
        let _ = std::fs::remove_dir_all(self.layout.join("run/exec"));
        Ok(())
    }
}
