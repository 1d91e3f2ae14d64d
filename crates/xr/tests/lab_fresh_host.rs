//! The main job on a machine that has nothing: install, update, rollback, each step looked at from outside.
#![allow(clippy::disallowed_methods, reason = "a test writes its own files")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use support::{Answer, PATIENCE, request};
use xr_lab::{GitRemote, Host, HostKind, Image, Lab, wait_for};

const STACK: &str = "/srv/orbit";
const SECRETS: [&str; 4] = ["DB_PASSWORD", "SECRET_KEY", "WORKER_API_KEY", "DJANGO_SUPERUSER_PASSWORD"];

/// Whether the newest run's journal says how it ended.
const RUN_ENDED: &str = "cd /srv/orbit/.xr/journal && grep -q run_ended $(ls | tail -n 1)";

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

impl Machine {
    /// Begins to go to another version that was here before, and gives back when so many records are written.
    fn begin(&self, version: &str, records: usize) -> Result<()> {
        let journals = format!("{STACK}/.xr/journal");
        let before = self.host.must(&format!("ls {journals} | wc -l"))?;
        let run = format!("cd {STACK} && TERM=dumb setsid nohup xr rollback --yes --to {version}");
        self.host.must(&format!(
            "({run} >/var/log/run.log 2>&1 </dev/null; echo $? >/var/log/run.code) >/dev/null 2>&1 &"
        ))?;
        let written = format!(
            "[ $(ls {journals} | wc -l) -gt {before} ] && \
             [ $(cat {journals}/$(ls {journals} | tail -n 1) | wc -l) -ge {records} ]"
        );
        wait_for("the run's records", PATIENCE, || self.host.sh(&written).is_ok_and(|done| done.success()))
    }

    /// The old version serves or the new one, wholly, and no row is lost.
    fn assert_whole(&self, visits: u64) -> Result<String> {
        let version = self.host.must(&format!("cat {STACK}/VERSION"))?;
        wait_for("the port", PATIENCE, || self.http("GET", "/api/").is_ok_and(|answer| answer.status == 200))?;
        self.assert_it_is(&version)?;
        assert_eq!(self.visits()?, visits);
        Ok(version)
    }

    fn docker_answers(&self) -> Result<()> {
        wait_for("docker on the host", PATIENCE, || self.host.sh("docker ps").is_ok_and(|done| done.success()))
    }
}

/// The machine loses its power while containers are replaced. When it is up again, recovery is what its boot does.
fn power_cut(machine: &Machine, version: &str, records: usize, visits: u64) -> Result<String> {
    machine.begin(version, records)?;
    machine.lab.engine().docker(&["kill", machine.host.container()])?;
    machine.lab.engine().docker(&["start", machine.host.container()])?;
    machine.docker_answers()?;
    ensure!(!done(machine, RUN_ENDED), "the run had ended before the power was cut");
    let both = "docker ps --filter label=com.docker.compose.service=postgres -q | wc -l";
    assert_eq!(machine.host.must(both)?, "1", "two databases on one volume");
    machine.xr("recover")?;
    machine.assert_whole(visits)
}

/// The engine dies under a run and comes back.
fn dead_engine(machine: &Machine, version: &str, records: usize, visits: u64) -> Result<String> {
    machine.begin(version, records)?;
    machine.host.must(
        "pkill -KILL -x dockerd; sleep 1; rm -f /var/run/docker.pid /var/run/docker-ssd.pid; service docker start",
    )?;
    machine.docker_answers()?;
    wait_for("the run's end", PATIENCE, || {
        done(machine, "test -s /var/log/run.code") && !done(machine, "pgrep -f '[x]r guard'")
    })?;
    assert_ne!(machine.host.must("cat /var/log/run.code")?, "0", "the run had ended before the engine died");
    machine.xr("recover")?;
    machine.assert_whole(visits)
}

fn done(machine: &Machine, script: &str) -> bool {
    machine.host.sh(script).is_ok_and(|done| done.success())
}

#[test]
fn a_host_without_docker_is_installed_updated_rolled_back_and_bears_a_power_cut() -> Result<()> {
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

    let serves = power_cut(&machine, "v1.1.0", 16, 3)?;
    let other = if serves == "v1.0.0" { "v1.1.0" } else { "v1.0.0" };
    let serves = dead_engine(&machine, other, 14, 3)?;
    let other = if serves == "v1.0.0" { "v1.1.0" } else { "v1.0.0" };
    machine.host.must("rm -f /var/log/run.code")?;
    machine.xr(&format!("rollback --yes --to {other}"))?;
    machine.assert_it_is(other)
}
