//! A lab beside a machine's own engine. The machine is played by namespaces around it, with an engine as its admin has one.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use xr_lab::{Lab, Layout, Sandbox, wait_for};

/// What a machine's admin would see change: links, addresses, routes, firewall, mounts, processes, containers.
const LOOK: &str = r"
    ip -oneline link | sed 's/ qlen.*//'; ip -oneline address | sed 's/ tentative//'; ip route; ip -6 route
    iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
    ip6tables-save 2>/dev/null | grep -v '^#' | sed 's/\[[0-9:]*\]//'
    cut -d' ' -f 4- /proc/1/mountinfo | sort
    docker ps --no-trunc --format '{{.ID}} {{.Status}}' | sed 's/Up .*/Up/'
    ps -e -o pid=,args= | grep -v -e '<defunct>' -e 'look-at-the-machine' -e ' ps -e' -e ' sed s/' | sed 's/^ */process /'
";

const NEW_PROCESS: &str = "+ process ";

/// A machine with an engine that keeps one container on its default bridge.
struct Machine {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    /// Network namespaces that the engine of the lab around it has, or had, mounted.
    theirs: RefCell<BTreeSet<String>>,
}

/// Where the engine of the lab that this test runs in has the network namespaces of its containers.
fn namespaces_of_containers() -> Result<BTreeSet<String>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(places.filter(|place| place.contains("/run/docker/netns/")).map(str::to_owned).collect())
}

impl Machine {
    fn with_engine() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let layout = Layout::at(folder.path())?;
        let theirs = RefCell::new(namespaces_of_containers()?);
        let machine = Self { sandbox: Sandbox::owned(&layout)?, folder, theirs };
        machine.sh(&format!(
            "dockerd --data-root={0}/own --exec-root=/run/own --pidfile=/run/own.pid --host=unix:///run/docker.sock \
                 --bip=10.99.0.1/24 --cgroup-parent={1} >{0}/own.log 2>&1 </dev/null &
             until docker version >/dev/null 2>&1; do sleep 0.1; done
             tar -c -C / usr/bin/busybox | docker import - box >/dev/null
             docker run -d --name kept --publish 8099:80 box /usr/bin/busybox sleep 100000",
            machine.folder.path().display(),
            layout.control_group()
        ))?;
        Ok(machine)
    }

    /// What a script prints that the machine's admin runs.
    fn sh(&self, script: &str) -> Result<String> {
        let command = self.sandbox.command(&["sh", "-ec", script, "look-at-the-machine"])?;
        let output = command.env_remove("DOCKER_HOST").stderr_to_stdout().stdout_capture().unchecked().run()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{script}: {text}");
        Ok(text)
    }

    /// Without what the lab around it does meanwhile for other tests, whose containers come and go.
    fn look(&self) -> Result<String> {
        let around = Layout::from_env()?.root().display().to_string();
        let mut theirs = self.theirs.borrow_mut();
        theirs.extend(namespaces_of_containers()?);
        let seen = self.sh(LOOK)?;
        theirs.extend(namespaces_of_containers()?);
        let is_its = |line: &&str| line.contains(&around) || theirs.iter().any(|one| line.contains(one.as_str()));
        Ok(seen.lines().filter(|line| !is_its(line)).map(|line| format!("{line}\n")).collect())
    }
}

/// The lines that are not in both.
fn difference(before: &str, after: &str) -> Vec<String> {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[test]
fn a_lab_beside_a_running_engine_changes_nothing_of_it_and_leaves_nothing_when_all_of_it_is_killed() -> Result<()> {
    Lab::attach_or_up()?;
    let machine = Machine::with_engine()?;
    let before = machine.look()?;
    ensure!(before.contains("docker0") && before.contains("MASQUERADE") && before.contains("Up"), "{before}");

    // a test that uses a lab, as a developer on that machine calls it; the lab stays for the next one
    let lab = machine.folder.path().join("lab");
    let (at, this) = (lab.display(), std::env::current_exe()?);
    machine.sh(&format!("XR_LAB_DIR={at} {} --exact world::a_prefix_of_ones_own_can_be_broken", this.display()))?;
    let during = machine.look()?;
    let changed = difference(&before, &during);
    ensure!(!changed.is_empty(), "no lab runs");
    let other: Vec<&String> = changed.iter().filter(|line| !line.starts_with(NEW_PROCESS)).collect();
    ensure!(other.is_empty(), "changed while a lab runs, beside its processes: {other:#?}");

    let words = changed.iter().filter_map(|line| line.strip_prefix(NEW_PROCESS));
    let pids: Vec<&str> = words.filter_map(|line| line.split_whitespace().next()).collect();
    machine.sh(&format!("kill -9 {} 2>/dev/null || true", pids.join(" ")))?;
    let mut left = Vec::new();
    wait_for("the lab's end", Duration::from_secs(20), || {
        left = machine.look().map(|after| difference(&before, &after)).unwrap_or_default();
        left.is_empty()
    })
    .with_context(|| format!("left: {left:#?}"))?;
    // what the kernel keeps of control groups until somebody looks
    Lab::down(&Layout::at(&lab)?)
}
