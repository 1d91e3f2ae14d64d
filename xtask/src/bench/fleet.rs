//! One look at many workers: `xr doctor` beside bare ssh, Ansible and parallel-ssh on the same hosts, in turn.

mod cost;
mod masters;
mod rivals;

use std::{
    fmt::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use xr_lab::{Kex, Lab, Layout, MaxStartups, SshFarm};

use self::{cost::Cost, masters::Masters, rivals::Rivals};
use super::stack::Stack;

/// What is asked of each host, as one script.
const CHECK: &str = "docker version --format '{{.Server.Version}}'; df -P /; date +%s";
/// The farm's hosts are one machine: the Docker client, started on it by each of them, would be all that is measured.
const DOCKER: &str = "#!/bin/sh\necho 26.1.5\n";

/// How `xr doctor` ends when something is wrong: these hosts have no agents.
const FINDINGS: i32 = 6;

pub(super) fn run(lab: &Lab, xr: &Path, hosts: &[usize], runs: usize, kex: Kex) -> Result<()> {
    let layout = Layout::from_env()?;
    let rivals = Rivals::install(&layout)?;
    let stack = Stack::install(lab, xr, "fleet", 18_240, &["v1.0.0"], &[])?;
    println!("\n{}; key exchange: {kex:?}; median of {runs}, taken in turn", rivals.versions()?);
    for count in hosts {
        at(&Scene::of(&layout, *count, kex)?, &stack, &rivals, runs)?;
    }
    Ok(())
}

/// The hosts, and how a client reaches them.
struct Scene {
    farm: SshFarm,
    config: PathBuf,
    /// For files of the clients.
    dir: TempDir,
}

impl Scene {
    fn of(layout: &Layout, count: usize, kex: Kex) -> Result<Self> {
        let farm = SshFarm::start(layout, count, MaxStartups::Raised)?;
        farm.stand_in("docker", DOCKER)?;
        Ok(Self { config: farm.config(kex)?, farm, dir: TempDir::new()? })
    }

    /// A new folder for one way, which others cannot enter.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }
}

/// One way to ask all hosts.
struct Way<'a> {
    title: String,
    command: Box<dyn Fn() -> Command + 'a>,
    /// The connections that it leaves open.
    masters: Option<Masters>,
    /// Whether it finds none open when it begins.
    cold: bool,
    /// An exit code that is an answer too.
    finding: i32,
}

fn at(scene: &Scene, stack: &Stack<'_>, rivals: &Rivals, runs: usize) -> Result<()> {
    list_workers(&stack.dir().join(".xr/site.toml"), &scene.farm)?;
    let names = scene.dir.path().join("names");
    std::fs::write(&names, scene.farm.destinations().join("\n"))?;
    let count = scene.farm.destinations().len();
    let mut ways = vec![plain_ssh(&names, scene, count)];
    if count != 16 {
        ways.push(plain_ssh(&names, scene, 16));
    }
    let doctor = doctor(stack, scene)?;
    reaches_all(&doctor[0], count)?;
    ways.extend(doctor);
    ways.extend(rivals.ways(scene)?);

    let mut costs: Vec<Vec<Cost>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (way, costs) in ways.iter().zip(&mut costs) {
            costs.push(ask(way, &scene.farm)?);
        }
    }
    for way in &ways {
        way.masters.as_ref().map_or(Ok(()), Masters::end)?;
    }
    print(count, &ways, &costs);
    Ok(())
}

fn ask(way: &Way<'_>, farm: &SshFarm) -> Result<Cost> {
    if let (Some(masters), true) = (&way.masters, way.cold) {
        masters.end()?;
    }
    let logins = farm.logins();
    let masters = || way.masters.as_ref().map_or(Ok(Vec::new()), Masters::cpu);
    let before = masters()?;
    let mut cost = Cost::of(&mut (way.command)(), way.finding)?;
    cost.cpu += masters::spent(&before, &masters()?);
    cost.logins = farm.logins() - logins;
    Ok(cost)
}

/// Appended to what the installation wrote, in place of an earlier list.
fn list_workers(site: &Path, farm: &SshFarm) -> Result<()> {
    let text = std::fs::read_to_string(site).unwrap_or_default();
    let mut text = text.split("[[workers]]").next().unwrap_or_default().to_owned();
    for name in farm.destinations() {
        write!(text, "[[workers]]\nname = \"{name}\"\nssh = \"root@{name}\"\n")?;
    }
    Ok(std::fs::write(site, text)?)
}

fn plain_ssh<'a>(names: &'a Path, scene: &'a Scene, at_once: usize) -> Way<'a> {
    let command = move || {
        let mut command = Command::new("xargs");
        command.arg("-a").arg(names).arg(format!("-P{at_once}"));
        command.args(["-I{}", "ssh", "-F"]).arg(&scene.config).args(["{}", "true"]);
        command
    };
    Way {
        title: format!("ssh true, xargs -P {at_once}"),
        command: Box::new(command),
        masters: None,
        cold: true,
        finding: 0,
    }
}

/// Without a live connection, and with those that the first left.
fn doctor<'a>(stack: &'a Stack<'_>, scene: &'a Scene) -> Result<[Way<'a>; 2]> {
    let run = scene.folder("run")?;
    let way = |title: &str, cold| {
        let run = run.clone();
        let masters = Some(Masters::below(&run.join("xr-ssh")));
        let command = move || {
            let mut command = stack.command(&["doctor"]);
            command.env("XR_SSH_CONFIG", &scene.config).env("XDG_RUNTIME_DIR", &run);
            command
        };
        Way { title: title.to_owned(), command: Box::new(command), masters, cold, finding: FINDINGS }
    };
    Ok([way("xr doctor, cold", true), way("xr doctor, warm", false)])
}

/// Before it is timed: it must see every host and every engine.
fn reaches_all(doctor: &Way<'_>, count: usize) -> Result<()> {
    let said = (doctor.command)().arg("--json").output()?;
    let said: Value = serde_json::from_slice(&said.stdout).context("what xr doctor --json says")?;
    let seen = said["workers"].as_array().into_iter().flatten();
    let seen = seen.filter(|row| row["reachable"] == true && row["engine"].is_string()).count();
    ensure!(seen == count, "xr doctor saw {seen} of {count} hosts: {said:#}");
    Ok(())
}

fn print(count: usize, ways: &[Way<'_>], costs: &[Vec<Cost>]) {
    let rows: Vec<(&str, Cost)> =
        ways.iter().zip(costs).map(|(way, costs)| (way.title.as_str(), Cost::median(costs))).collect();
    // Of bare ssh, the one that was quicker.
    let plain = rows.iter().filter(|(title, _)| title.starts_with("ssh ")).min_by_key(|(_, cost)| cost.wall);
    let Some((best, base)) = plain else { return };
    println!("\n{count} hosts, × {best}");
    println!("{:<34} {:>9} {:>8} {:>10} {:>8} {:>9} {:>7}", "", "time", "", "CPU", "", "own peak", "logins");
    for (title, cost) in &rows {
        let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
        let (times, cpu_times) = (wall / base.wall.as_secs_f64(), cpu / base.cpu.as_secs_f64());
        let (peak, logins) = (cost.peak_kib / 1024, cost.logins);
        println!("{title:<34} {wall:>7.2} s {times:>7.2}× {cpu:>8.2} s {cpu_times:>7.2}× {peak:>5} MiB {logins:>7}");
        if cost.failed {
            println!("{:<34} it failed", "");
        }
    }
}
