//! A machine of the test's own, with an engine of its own: a container of the lab that can be starved, cut off and killed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xr_lab::{GitRemote, Host, HostKind, Image, Lab, wait_for};

use super::{Answer, PATIENCE, request};

/// Where the stack is.
pub const STACK: &str = "/srv/orbit";

/// A machine with the binary and a clone.
pub struct Machine {
    pub lab: Lab,
    pub remote: GitRemote,
    pub host: Host,
}

impl Machine {
    /// A machine of this kind; `name` is the test's, `manifest` the publisher's `xr.toml`: none when empty.
    pub fn new(kind: HostKind, name: &str, manifest: &str) -> Result<Self> {
        let lab = Lab::attach_or_up()?;
        let remote = lab.remote(&[])?;
        if !manifest.is_empty() {
            std::fs::write(remote.work().join("xr.toml"), manifest)?;
        }
        remote.release("v1.0.0")?;
        let host = lab.host(kind, &format!("xr-{name}-{}", std::process::id()))?;
        host.copy_in(Path::new(env!("CARGO_BIN_EXE_xr")), "/usr/local/bin/xr")?;
        host.must(
            "command -v git || { apt-get -q update && \
             DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends git; }",
        )?;
        let machine = Self { lab, remote, host };
        machine.publish()?;
        machine.host.must(&format!("git clone -q file:///var/lib/publisher/orbit.git {STACK}"))?;
        Ok(machine)
    }

    /// Makes the remote known to the machine as it is now.
    pub fn publish(&self) -> Result<()> {
        self.host.must("mkdir -p /var/lib/publisher/orbit.git")?;
        self.host.copy_in(&self.remote.path().join("."), "/var/lib/publisher/orbit.git")
    }

    /// Runs `xr` in the stack's folder; it must end with 0.
    pub fn xr(&self, arguments: &str) -> Result<String> {
        self.host.must(&format!("cd {STACK} && TERM=dumb xr {arguments} 2>&1"))
    }

    /// Runs `xr` in the stack's folder: its exit code, and all that it said.
    pub fn try_xr(&self, arguments: &str) -> Result<(i32, String)> {
        let output = self.host.sh(&format!("cd {STACK} && TERM=dumb xr {arguments} 2>&1"))?;
        Ok((output.code, output.stdout))
    }

    pub fn http(&self, method: &str, path: &str) -> Result<Answer> {
        request(self.host.address(), 8083, method, path)
    }

    /// The version that answers on the published port.
    pub fn version(&self) -> Result<String> {
        self.http("GET", "/api/")?.text("version")
    }

    pub fn visits(&self) -> Result<u64> {
        self.http("GET", "/api/")?.json()?["visits"].as_u64().context("no number of visits")
    }

    pub fn env(&self) -> Result<BTreeMap<String, String>> {
        let text = self.host.must(&format!("cat {STACK}/docker/.env"))?;
        let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// HTTP, VERSION, `.env` and the digest of every container and of the worker's image are those of `version`.
    pub fn assert_it_is(&self, version: &str) -> Result<()> {
        assert_eq!(self.version()?, version);
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

    /// The old version serves or the new one, wholly, and no row is lost. Gives which.
    pub fn assert_whole(&self, visits: u64) -> Result<String> {
        let version = self.host.must(&format!("cat {STACK}/VERSION"))?;
        wait_for("the port", PATIENCE, || self.http("GET", "/api/").is_ok_and(|answer| answer.status == 200))?;
        self.assert_it_is(&version)?;
        assert_eq!(self.visits()?, visits);
        Ok(version)
    }

    /// Begins a run of `xr COMMAND`. In the moment when the first of its steps that does `action` has begun, `fault` (shell)
    /// happens on the machine.
    pub fn interrupt(&self, command: &str, action: &str, fault: &str) -> Result<()> {
        let dry = self.host.must(&format!("cd {STACK} && xr {command} --dry-run --json --quiet"))?;
        let plan: Value = serde_json::from_str(&dry).with_context(|| dry.clone())?;
        let stages = plan["plan"]["stages"].as_array().into_iter().flatten();
        let steps = stages.flat_map(|stage| stage["steps"].as_array().into_iter().flatten());
        let step = steps.into_iter().find(|step| step["action"]["do"] == action);
        let id = step.with_context(|| format!("no step does {action}: {plan}"))?["id"].clone();
        self.host.must(&format!(
            "rm -f /var/log/run.code; cd {STACK}; before=$(ls .xr/journal | wc -l)
             (TERM=dumb setsid nohup xr {command} >/var/log/run.log 2>&1 </dev/null
              echo $? >/var/log/run.code) >/dev/null 2>&1 &
             until [ $(ls .xr/journal | wc -l) -gt $before ] || [ -s /var/log/run.code ]; do sleep 0.02; done
             journal=.xr/journal/$(ls .xr/journal | tail -n 1)
             until grep -q '\"step_started\",\"step\":{id}}}' $journal || [ -s /var/log/run.code ]; do sleep 0.01; done
             ! [ -s /var/log/run.code ] || {{ cat /var/log/run.log; exit 1; }}
             {fault}"
        ))?;
        Ok(())
    }

    /// Waits for the end of the run that was interrupted, and of its guard. Gives its exit code.
    pub fn ended(&self) -> Result<String> {
        wait_for("the run's end", PATIENCE, || {
            self.does("test -s /var/log/run.code") && !self.does("pgrep -f '[x]r guard'")
        })?;
        self.host.must("cat /var/log/run.code")
    }

    /// What a failed test wants to know.
    pub fn story(&self) -> String {
        let script = format!(
            "docker ps -a --format '{{{{.Names}}}} {{{{.Image}}}} {{{{.Status}}}}'; cat /var/log/run.log; tail -n 40 {STACK}/.xr/log/*.log"
        );
        self.host.sh(&script).map(|output| output.stdout + &output.stderr).unwrap_or_default()
    }

    /// Whether the newest run's journal says how it ended.
    pub fn newest_run_has_ended(&self) -> bool {
        self.does(&format!("cd {STACK}/.xr/journal && grep -q run_ended $(ls | tail -n 1)"))
    }

    pub fn docker_answers(&self) -> Result<()> {
        wait_for("docker on the host", PATIENCE, || self.does("docker ps"))
    }

    /// Whether a script ends with 0.
    pub fn does(&self, script: &str) -> bool {
        self.host.sh(script).is_ok_and(|done| done.success())
    }
}
