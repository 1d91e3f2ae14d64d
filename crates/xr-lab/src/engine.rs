//! The lab's Docker engine. It runs in the lab's namespaces, so bridge and addresses may be the same in every lab.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use duct::{Expression, cmd};
use serde_json::Value;

use crate::ask::{answers, ask};
use crate::shell::run;
use crate::{Daemon, Layout, Registry, wait_for};

const NAME: &str = "dockerd";
/// Not Docker's own: an engine that is started without a bridge, as some tests do, removes `docker0`.
const BRIDGE: &str = "xrlab0";
/// The address of this machine on the engine's bridge; hosts of the lab have engines that take Docker's own default.
const GATEWAY: &str = "10.213.0.1";
/// Where the networks are that stacks make.
const NETWORKS: &str = "base=10.214.0.0/15,size=24";
/// How long it may think about an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// The engine. Dropping it does not stop it: the `Lab` does.
#[derive(Debug, Clone)]
pub struct Engine {
    layout: Layout,
    mirror: String,
}

impl Engine {
    /// The engine of this lab, pulling Docker Hub's names from `mirror`.
    pub(crate) fn new(layout: &Layout, mirror: &Registry) -> Self {
        Self { layout: layout.clone(), mirror: mirror.address() }
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<()> {
        let at = |name: &str| self.layout.join(name).display().to_string();
        let release = self.layout.engine();
        let packages = release.folder()?;
        let program = |name: &str| packages.join("usr").join(name).display().to_string();
        let argv = [
            program("sbin/dockerd"),
            format!("--host=unix://{}", self.layout.socket().display()),
            format!("--data-root={}", at("docker")),
            format!("--config-file={}", at("run/daemon.json")),
            format!("--userland-proxy-path={}", program("sbin/docker-proxy")),
            format!("--init-path={}", program("bin/docker-init")),
            format!("--cgroup-parent={}", self.layout.control_group()),
            format!("--bridge={BRIDGE}"),
            format!("--default-address-pool={NETWORKS}"),
            format!("--registry-mirror=http://{}", self.mirror),
            format!("--insecure-registry={GATEWAY}/32"),
            "--shutdown-timeout=10".to_owned(),
            // What it filters is translated anew for each program that starts in a container: a tenth of all work here.
            format!("--seccomp-profile={}", at("run/seccomp.json")),
        ];
        std::fs::write(self.layout.join("run/seccomp.json"), r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)?;
        let features = if release.containerd_store { r#"{"features":{"containerd-snapshotter":true}}"# } else { "{}" };
        std::fs::write(self.layout.join("run/daemon.json"), features)?;
        if cmd!("ip", "link", "show", BRIDGE).stdout_null().stderr_null().run().is_err() {
            run("ip link add", cmd!("ip", "link", "add", BRIDGE, "type", "bridge"))?;
            run("ip addr add", cmd!("ip", "addr", "add", format!("{GATEWAY}/24"), "dev", BRIDGE))?;
            run("ip link set", cmd!("ip", "link", "set", BRIDGE, "up"))?;
        }
        let daemon = Daemon::start(&self.layout, NAME, &argv)?;
        wait_for("the engine", Duration::from_secs(60), || !daemon.alive() || self.answers())?;
        if !daemon.alive() {
            bail!("dockerd ended: see {}", self.layout.join("log/dockerd.log").display());
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
        answers(&self.socket())
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
        GATEWAY.to_owned()
    }

    /// A `docker` command for this engine, to be run or refined by the caller.
    pub fn command(&self, argv: &[&str]) -> Expression {
        let client = self.layout.engine().folder().unwrap_or_default().join("usr/bin/docker");
        cmd(client, argv)
            .env("DOCKER_HOST", self.docker_host())
            .env("DOCKER_CONFIG", self.layout.join("home/docker"))
            .env_remove("DOCKER_CONTEXT")
    }

    /// Runs `docker …`; the answer is what it printed.
    pub fn docker(&self, argv: &[&str]) -> Result<String> {
        run(&format!("docker {}", argv.join(" ")), self.command(argv))
    }

    /// What its API answers to a GET; `None` when there is no such thing.
    ///
    /// # Errors
    /// When it does not answer, or with a failure of its own.
    pub fn ask(&self, path: &str) -> Result<Option<Value>> {
        let body = ask(&self.socket(), path, ANSWER)?;
        body.map(|body| serde_json::from_str(&body).with_context(|| path.to_owned())).transpose()
    }

    /// The ids of all containers of a compose project, running or not.
    ///
    /// # Errors
    /// As [`Engine::ask`].
    pub fn containers_of(&self, project: &str) -> Result<Vec<String>> {
        self.of_project("containers/json?all=1&", project, |found| found.as_array(), "Id")
    }

    /// What `list` names of a compose project.
    fn of_project(
        &self,
        list: &str,
        project: &str,
        rows: fn(&Value) -> Option<&Vec<Value>>,
        name: &str,
    ) -> Result<Vec<String>> {
        let label = format!("com.docker.compose.project={project}");
        let filters = encoded(&serde_json::json!({"label": [label]}).to_string());
        let found = self.ask(&format!("/{list}filters={filters}"))?.unwrap_or_default();
        let names = rows(&found).into_iter().flatten().filter_map(|row| row[name].as_str());
        Ok(names.map(str::to_owned).collect())
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

    /// Removes what carries the label of a compose project. What cannot be removed goes with the lab.
    pub fn remove_project(&self, project: &str) {
        let remove = |argv: &[&str], found: Result<Vec<String>>| {
            let found = found.unwrap_or_default();
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            if !found.is_empty() {
                let _ = self.docker(&[argv, &found].concat());
            }
        };
        remove(&["rm", "-fv"], self.containers_of(project));
        let volumes = self.of_project("volumes?", project, |found| found["Volumes"].as_array(), "Name");
        remove(&["volume", "rm", "-f"], volumes);
        remove(&["network", "rm"], self.of_project("networks?", project, Value::as_array, "Id"));
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
}

/// As it may stand in an address.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
