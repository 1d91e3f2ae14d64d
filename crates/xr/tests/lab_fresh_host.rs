//! The main job on a machine that has nothing: install, update, rollback, each step looked at from outside.
#![allow(clippy::disallowed_methods, reason = "a test writes its own files")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use support::{Answer, request};
use xr_lab::{GitRemote, Host, HostKind, Image, Lab};

const STACK: &str = "/srv/orbit";
const SECRETS: [&str; 4] = ["DB_PASSWORD", "SECRET_KEY", "WORKER_API_KEY", "DJANGO_SUPERUSER_PASSWORD"];

struct Machine {
    lab: Lab,
    remote: GitRemote,
    host: Host,
}

impl Machine {
    /// A host with the binary and a clone, and without Docker.
    fn new() -> Result<Self> {
        let lab = Lab::attach_or_up()?;
        let remote = lab.remote(&["v1.0.0"])?;
        let host = lab.host(HostKind::Fresh, &format!("xr-fresh-{}", std::process::id()))?;
        host.copy_in(Path::new(env!("CARGO_BIN_EXE_xr")), "/usr/local/bin/xr")?;
        host.must(
            "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends git",
        )?;
        let machine = Self { lab, remote, host };
        machine.publish()?;
        machine.host.must(&format!("git clone -q file:///var/lib/publisher/orbit.git {STACK}"))?;
        ensure!(!machine.host.sh("command -v docker")?.success(), "the host is not fresh");
        Ok(machine)
    }

    /// Makes the remote known to the host as it is now.
    fn publish(&self) -> Result<()> {
        self.host.must("mkdir -p /var/lib/publisher/orbit.git")?;
        self.host.copy_in(&self.remote.path().join("."), "/var/lib/publisher/orbit.git")
    }

    fn xr(&self, arguments: &str) -> Result<String> {
        self.host.must(&format!("cd {STACK} && TERM=dumb xr {arguments} 2>&1"))
    }

    fn http(&self, method: &str, path: &str) -> Result<Answer> {
        request(self.host.address(), 8083, method, path)
    }

    fn visits(&self) -> Result<u64> {
        self.http("GET", "/api/")?.json()?["visits"].as_u64().context("no number of visits")
    }

    fn env(&self) -> Result<BTreeMap<String, String>> {
        let text = self.host.must(&format!("cat {STACK}/docker/.env"))?;
        let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// HTTP, VERSION, `.env` and the digest of every container and of the worker's image are those of `version`.
    fn assert_it_is(&self, version: &str) -> Result<()> {
        assert_eq!(self.http("GET", "/api/")?.text("version")?, version);
        assert_eq!(self.host.must(&format!("cat {STACK}/VERSION"))?, version);
        assert_eq!(self.env()?["IMAGE_TAG"], version);
        assert_eq!(self.host.must(&format!("stat -c %a {STACK}/docker/.env"))?, "600");
        let running = self.host.must("docker ps --format '{{.Label \"com.docker.compose.service\"}} {{.ID}}'")?;
        let running: BTreeMap<&str, &str> = running.lines().filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(
            running.keys().copied().collect::<Vec<_>>(),
            ["agent", "frontend", "nginx", "postgres", "redis", "server"]
        );
        assert_eq!(self.host.must("docker ps -aq | wc -l")?, "6", "nothing is left over");
        for image in Image::ALL {
            let name = image.name("acme", version);
            let digest = self.lab.registry().digest(&name)?.context("not published")?;
            let id = match running.get(image.part()) {
                Some(container) => self.host.must(&format!("docker inspect --format='{{{{.Image}}}}' {container}"))?,
                None => name.clone(),
            };
            let has = self.host.must(&format!("docker image inspect --format='{{{{json .RepoDigests}}}}' {id}"))?;
            ensure!(has.contains(&digest), "{name}: {has} lacks {digest}");
        }
        Ok(())
    }
}

#[test]
fn a_host_without_docker_is_installed_updated_and_rolled_back() -> Result<()> {
    let machine = Machine::new()?;
    machine.xr("install --yes")?;
    machine.assert_it_is("v1.0.0")?;
    let installed = machine.env()?;
    for key in SECRETS {
        let secret = &installed[key];
        ensure!(secret.len() >= 24 && secret.chars().all(|c| c.is_ascii_hexdigit()), "{key} was not generated");
    }
    machine.http("POST", "/api/visits")?;
    machine.http("POST", "/api/visits")?;
    machine.host.must(&format!("printf 'MINE=kept' >> {STACK}/docker/.env"))?;

    machine.remote.release("v1.1.0")?;
    machine.publish()?;
    machine.xr("update --yes --to v1.1.0")?;
    // The worker's image is looked at too, before any task asked for it.
    machine.assert_it_is("v1.1.0")?;
    let updated = machine.env()?;
    for key in SECRETS.into_iter().chain(["DB_HOST", "HTTP_PORT", "DATA_DIR"]) {
        assert_eq!(installed[key], updated[key], "{key}");
    }
    assert_eq!(updated["MINE"], "kept");
    assert_eq!(machine.visits()?, 2);
    machine.http("POST", "/api/visits")?;

    machine.host.must("rm -rf /var/lib/publisher")?;
    machine.xr("rollback --yes")?;
    machine.assert_it_is("v1.0.0")?;
    let back = machine.env()?;
    assert!(installed.iter().all(|(key, value)| back.get(key) == Some(value)), "every setting as it was");
    assert_eq!(machine.visits()?, 3, "data is not rolled back");
    let task = machine.host.must("docker run --rm --pull=never acme/orbit-worker:v1.0.0 scan")?;
    ensure!(task.contains("v1.0.0"), "{task}");
    Ok(())
}
