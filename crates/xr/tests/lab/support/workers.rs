//! A stack with workers: hosts of the lab, reached as the admin's ssh settings say.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use duct::cmd;
use serde_json::Value;
use xr_lab::{Host, HostKind, HostSpec, wait_for};

use super::{Background, Done, PATIENCE, Setup, Stack};

/// A stack and the hosts that are, or may become, its workers.
pub struct WithWorkers {
    pub stack: Stack,
    pub hosts: Vec<Host>,
    config: PathBuf,
    runtime: PathBuf,
}

impl WithWorkers {
    /// A stack on which v1.0.0 serves, and hosts that nobody has added yet: called w1, w2, … in the admin's settings, w1 known
    /// by its key.
    pub fn new(setup: &Setup<'_>, test: &str, kinds: &[HostKind]) -> Result<Self> {
        let stack = Stack::installed(setup)?;
        let start = |(at, kind): (usize, &HostKind)| stack.lab.host(*kind, &format!("{test}-w{}", at + 1));
        let hosts = kinds.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        Self::of(stack, hosts)
    }

    /// Two workers at v1.0.0 under this rule, with v1.1.0 released.
    pub fn two(test: &str, rule: &str) -> Result<Self> {
        let fleet = Self::new(&Setup::default(), test, &[HostKind::Docker, HostKind::Docker])?;
        fleet.rule(rule)?;
        fleet.add_all()?;
        fleet.stack.remote.release("v1.1.0")?;
        Ok(fleet)
    }

    /// Two hosts; the first one's engine has a disk of so many MiB.
    pub fn one_with_small_disk(test: &str, mib: u32) -> Result<Self> {
        let stack = Stack::installed(&Setup::default())?;
        let spec = HostSpec { disk_mib: Some(mib), ..HostSpec::of(HostKind::Docker) };
        let small = stack.lab.host_of(&spec, &format!("{test}-w1"))?;
        let other = stack.lab.host(HostKind::Docker, &format!("{test}-w2"))?;
        Self::of(stack, vec![small, other])
    }

    /// Has the next xr connect anew.
    pub fn forget_connections(&self) -> Result<()> {
        end_connections(&self.runtime);
        let folder = self.runtime.join("xr-ssh");
        wait_for("connections to end", PATIENCE, || {
            let left = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            left.into_iter().all(|entry| entry.path().extension().is_none_or(|extension| extension != "ssh"))
        })
    }

    fn of(stack: Stack, hosts: Vec<Host>) -> Result<Self> {
        let (config, runtime) = (stack.scratch("ssh")?.join("config"), stack.scratch("run")?);
        let fleet = Self { stack, hosts, config, runtime };
        fleet.write_config(&|_| String::new())?;
        Ok(fleet)
    }

    /// Writes the admin's settings for ssh, with more lines for the host of each index.
    pub fn write_config(&self, more: &dyn Fn(usize) -> String) -> Result<()> {
        let mut text = String::new();
        for (at, host) in self.hosts.iter().enumerate() {
            text += &format!("Host w{}\n  HostName {}\n  User root\n{}", at + 1, host.address(), more(at));
        }
        let (key, known) = (self.hosts[0].ssh_key().display().to_string(), self.config.with_extension("known"));
        text +=
            &format!("Host *\n  IdentityFile {key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n", known.display());
        // What a machine costs that only wants to know whether this works at all.
        text += "  KexAlgorithms curve25519-sha256\n";
        std::fs::write(&self.config, text)?;
        std::fs::write(&known, "")?;
        Ok(())
    }

    /// Has ssh find a silent connection dead after 5 s instead of 15: the admin's own settings win.
    pub fn notice_silence_soon(&self) -> Result<()> {
        self.write_config(&|_| "  ServerAliveInterval 1\n  ServerAliveCountMax 5\n".to_owned())?;
        self.forget_connections()
    }

    fn in_environment(&self, argv: &[&str]) -> duct::Expression {
        let xr = cmd(env!("CARGO_BIN_EXE_xr"), argv);
        self.stack.with_environment(xr.env("XR_SSH_CONFIG", &self.config).env("XDG_RUNTIME_DIR", &self.runtime))
    }

    /// Runs `xr` to its end.
    pub fn xr(&self, argv: &[&str]) -> Result<Done> {
        Done::of(argv, self.in_environment(argv))
    }

    /// Starts `xr` and leaves it running.
    pub fn start_xr(&self, argv: &[&str]) -> Result<Background> {
        Background::start(argv, self.in_environment(argv))
    }

    /// Puts these lines at the head of `.xr/site.toml`.
    pub fn rule(&self, fleet: &str) -> Result<()> {
        let path = self.stack.root.join(".xr/site.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let workers = text.find("[[workers]]").map_or("", |at| &text[at..]);
        Ok(std::fs::write(&path, format!("[fleet]\n{fleet}\n{workers}"))?)
    }

    /// Waits until a run that was started is about to do this with this worker; false when it ends before.
    pub fn wait_for_step(&self, run: &Background, before: &[PathBuf], action: &str, worker: &str) -> Result<bool> {
        wait_for(&format!("{action} {worker}"), PATIENCE, || {
            run.ended() || self.newest(before).is_some_and(|text| has_begun(&text, action, worker))
        })?;
        Ok(!run.ended())
    }

    /// Waits until a worker's swap is at work there: what reaches it no more does not stop it.
    pub fn wait_for_swap(&self, at: usize) -> Result<()> {
        let at_work = "for f in ~/.local/state/xr/*.going; do flock -n \"$f\" true || exit 0; done; exit 1";
        wait_for("the swap", PATIENCE, || self.hosts[at].sh(at_work).is_ok_and(|said| said.success()))
    }

    fn newest(&self, before: &[PathBuf]) -> Option<String> {
        let journal = self.stack.journals().into_iter().find(|path| !before.contains(path))?;
        std::fs::read_to_string(journal).ok()
    }

    /// The version of the agent that runs on a host, as its own engine tells; nothing of what serves may wait beside it.
    pub fn agent_version(&self, at: usize) -> Result<String> {
        let (_, env, name) = self.agent(at)?;
        ensure!(!name.ends_with("-next"), "{name} was never confirmed");
        let line = env.iter().find_map(|line| line.strip_prefix("IMAGE_TAG="));
        line.map(str::to_owned).context("no IMAGE_TAG")
    }

    /// Adds all hosts.
    pub fn add_all(&self) -> Result<()> {
        (1..=self.hosts.len()).try_for_each(|number| {
            self.xr(&["worker", "add", &format!("w{number}"), "--yes"])?.exits(0);
            Ok(())
        })
    }

    /// What `xr worker list --json` says of each.
    pub fn rows(&self) -> Result<Vec<Value>> {
        let done = self.xr(&["worker", "list", "--json"])?.exits(0);
        let document: Value = serde_json::from_str(&done.stdout).with_context(|| done.to_string())?;
        Ok(document["workers"].as_array().cloned().unwrap_or_default())
    }

    /// The image's id and the environment of the agent that runs on a host, as its own engine tells, and its container's name.
    pub fn agent(&self, at: usize) -> Result<(String, Vec<String>, String)> {
        let told =
            self.hosts[at].must("docker ps --no-trunc --filter label=xr.role=agent --format '{{.ID}} {{.Names}}'")?;
        let (id, name) = told.split_once(' ').with_context(|| format!("no agent: {told:?}"))?;
        let told = self.hosts[at].must(&format!("docker inspect -f '{{{{.Image}}}} {{{{json .Config.Env}}}}' {id}"))?;
        let (image, env) = told.split_once(' ').context("no image")?;
        Ok((image.to_owned(), serde_json::from_str(env)?, name.to_owned()))
    }

    /// From outside: every worker's agent is made from the release's own image, and nothing else of the stack is there.
    pub fn assert_workers_are(&self, version: &str) -> Result<()> {
        let wanted =
            self.stack.docker(&["image", "inspect", "-f", "{{.Id}}", &format!("acme/orbit-agent:{version}")])?;
        let task =
            self.stack.docker(&["image", "inspect", "-f", "{{.Id}}", &format!("acme/orbit-worker:{version}")])?;
        for (at, host) in self.hosts.iter().enumerate() {
            let (image, env, name) = self.agent(at)?;
            assert_eq!(image, wanted, "the agent of w{}", at + 1);
            assert!(env.contains(&format!("IMAGE_TAG={version}")), "{env:?}");
            assert!(env.iter().any(|line| line == "WORKER_API_KEY=cafecafecafecafecafecafecafecafe"), "{env:?}");
            assert!(name.ends_with(&format!("-agent-w{}", at + 1)), "{name}");
            let has = host.must(&format!("docker image inspect -f '{{{{.Id}}}}' acme/orbit-worker:{version}"))?;
            assert_eq!(has, task, "the task image of w{}", at + 1);
            let all = host.must("docker ps -aq --filter label=xr.role=agent")?;
            assert_eq!(all.lines().count(), 1, "on w{}: {all}", at + 1);
        }
        Ok(())
    }
}

/// Whether a journal says that a step with this action, for this worker, has begun.
fn has_begun(journal: &str, action: &str, worker: &str) -> bool {
    let records: Vec<Value> = journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let Some(first) = records.first() else { return false };
    let stages = first["plan"]["stages"].as_array().into_iter().flatten();
    let mut steps = stages.flat_map(|stage| stage["steps"].as_array().into_iter().flatten());
    let found =
        steps.find(|step| step["action"]["do"] == action && (worker.is_empty() || step["action"]["worker"] == worker));
    let Some(number) = found.map(|step| step["id"].clone()) else { return false };
    records.iter().any(|record| record["record"] == "step_started" && record["step"] == number)
}

impl Drop for WithWorkers {
    fn drop(&mut self) {
        end_connections(&self.runtime);
    }
}

/// Ends the connections that xr has kept.
pub fn end_connections(runtime: &Path) {
    for entry in std::fs::read_dir(runtime.join("xr-ssh")).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "ssh") {
            let _ = cmd!("ssh", "-S", path, "-O", "exit", "x").stderr_null().stdout_null().unchecked().run();
        }
    }
}
