//! The second part of the certificate: the real engine, under load, and beside it the same done to compose.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use duct::Handle;
use serde_json::Value;
use xr_lab::{Lab, wait_for};

use super::{Crash, Part, chance::Chance, table::Row};
use crate::bench::{
    load::{Load, ask},
    stack::Stack,
};

const VERSIONS: [&str; 2] = ["v1.0.0", "v1.1.0"];
/// How long a guard may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn run(options: &Crash, chance: &mut Chance) -> Result<Vec<Row>> {
    let lab = Lab::attach_or_up()?;
    let xr = crate::bench::release_binary()?;
    let mut rows = Vec::new();
    if options.wants(Part::Real) {
        let stack = Stack::install(&lab, &xr, "crash", 18_220, &VERSIONS)?;
        let mut victim = Victim { stack: &stack, at: 0 };
        let whole = victim.undisturbed()?;
        rows.push(victim.at_each_record()?);
        let mut row = Row::of("real: update and rollback, at random moments");
        for _ in 0..options.real_runs() {
            let moment = chance.moment(whole);
            victim.killed(&mut row, &|_| Ok(Instant::now()), moment)?;
        }
        rows.push(row);
    }
    if options.wants(Part::Compose) {
        rows.push(compose(&lab, &xr, options.real_runs(), chance)?);
    }
    Ok(rows)
}

/// A stack that is updated and taken back in turn.
struct Victim<'a> {
    stack: &'a Stack<'a>,
    /// Which of [`VERSIONS`] serves.
    at: usize,
}

impl Victim<'_> {
    /// The command that leads to the other version.
    fn argv(&self) -> [&'static str; 4] {
        let verb = if self.at == 0 { "update" } else { "rollback" };
        [verb, "--yes", "--to", VERSIONS[1 - self.at]]
    }

    /// How long it takes when nobody disturbs it: there and back.
    fn undisturbed(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        for _ in 0..2 {
            self.stack.xr(&self.argv()).stdout_null().stderr_null().run()?;
            self.at = 1 - self.at;
        }
        Ok(begun.elapsed() / 2)
    }

    fn at_each_record(&mut self) -> Result<Row> {
        let mut row = Row::of("real: update and rollback, at each record");
        // Each count until a run ends before it; from either version, whichever serves.
        for lines in 1.. {
            let before = journals(self.stack.dir());
            let reached = |handle: &Handle| {
                let written = |path: PathBuf| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
                loop {
                    let newest = journals(self.stack.dir()).into_iter().find(|path| !before.contains(path));
                    if newest.map_or(0, written) >= lines || handle.try_wait()?.is_some() {
                        return Ok(Instant::now());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            if !self.killed(&mut row, &reached, Duration::ZERO)? {
                return Ok(row);
            }
        }
        Ok(row)
    }

    /// Starts the command, waits for `reached`, then for `delay`, kills, and judges once the guard is done. False when the
    /// command ended before.
    fn killed(&mut self, row: &mut Row, reached: &dyn Fn(&Handle) -> Result<Instant>, delay: Duration) -> Result<bool> {
        let load = Load::begin(self.stack.port);
        wait_for("the first answer", PATIENCE, || ask(self.stack.port))?;
        let handle = in_own_group(self.stack.xr(&self.argv())).start()?;
        reached(&handle)?;
        std::thread::sleep(delay);
        let alive = handle.try_wait()?.is_none();
        if alive {
            kill_group(&handle)?;
        }
        handle.wait()?;
        wait_for("the guard", PATIENCE, || ended(self.stack.dir()) && guards(self.stack.dir()) == 0)?;
        let seen = load.end();
        let serves = self.stack.version();
        let says = self.says()?;
        row.kills += u32::from(alive);
        match serves.as_deref().ok().and_then(|version| VERSIONS.iter().position(|known| *known == version)) {
            Some(version) => {
                ensure!(VERSIONS[version] == says, "{} serves and xr says {says}", VERSIONS[version]);
                let counted = if version == self.at { &mut row.old } else { &mut row.new };
                *counted += u32::from(alive);
                self.at = version;
                row.gaps.push(seen.gap);
            }
            None => {
                row.broken += 1;
                eprintln!("down after {:?} killed {delay:?} in: {serves:?}", self.argv());
                self.stack.xr(&["install", "--yes"]).run().context("cannot go on")?;
            }
        }
        eprint!(".");
        Ok(alive)
    }

    /// The version that xr says is installed, with every container running.
    fn says(&self) -> Result<String> {
        let status: Value = serde_json::from_str(&self.stack.xr(&["status", "--json"]).unchecked().read()?)?;
        ensure!(status["unfinished"].is_null(), "a run is unfinished: {status}");
        for service in status["services"].as_array().into_iter().flatten() {
            ensure!(service["state"] == "running" && service["as_recorded"] == true, "{service}");
        }
        Ok(status["version"].as_str().unwrap_or_default().to_owned())
    }
}

/// The same change and the same kills, by `docker compose up -d` alone. Nobody mends it but the next call.
fn compose(lab: &Lab, xr: &Path, runs: u32, chance: &mut Chance) -> Result<Row> {
    let stack = Stack::install(lab, xr, "crashcompose", 18_221, &VERSIONS)?;
    let mut row = Row { compared: true, ..Row::of("real: docker compose up -d") };
    let mut at = 0;
    let mut longest = Duration::from_secs(30);
    for _ in 0..runs {
        stack.switch_tree(VERSIONS[1 - at])?;
        // The images are there: what is compared is the switch.
        stack.compose(&["pull", "--quiet", "--ignore-pull-failures"]).stdout_null().stderr_null().unchecked().run()?;
        let load = Load::begin(stack.port);
        let begun = Instant::now();
        let handle = in_own_group(stack.compose(&["up", "-d"])).start()?;
        std::thread::sleep(chance.moment(longest));
        let alive = handle.try_wait()?.is_none();
        if alive {
            kill_group(&handle)?;
        } else {
            longest = begun.elapsed();
        }
        handle.wait()?;
        // As long as a guard usually takes.
        let healed = wait_for("an answer", Duration::from_secs(20), || stack.version().is_ok()).is_ok();
        row.gaps.push(load.end().gap);
        row.kills += u32::from(alive);
        match (healed, stack.version()) {
            (true, Ok(version)) if version == VERSIONS[at] => row.old += u32::from(alive),
            (true, Ok(_)) => row.new += u32::from(alive),
            _ => row.broken += u32::from(alive),
        }
        eprint!(".");
        // What a kill leaves sometimes stands in compose's own way.
        let mended = stack.compose(&["up", "-d", "--wait"]).stdout_null().stderr_null().unchecked().run()?;
        if !mended.status.success() {
            stack.compose(&["down"]).stdout_null().stderr_null().run()?;
            stack.compose(&["up", "-d", "--wait"]).stdout_null().stderr_null().run()?;
        }
        at = 1 - at;
    }
    Ok(row)
}

fn in_own_group(command: duct::Expression) -> duct::Expression {
    let own = command.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    });
    own.stdin_null().stdout_null().stderr_null().unchecked()
}

fn kill_group(handle: &Handle) -> Result<()> {
    let pid = handle.pids().first().copied().context("no process")?;
    duct::cmd!("kill", "-KILL", "--", format!("-{pid}")).run()?;
    Ok(())
}

fn journals(stack: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(stack.join(".xr/journal")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
}

/// Whether the newest run's journal says how it ended.
fn ended(stack: PathBuf) -> bool {
    let newest = journals(stack).pop().and_then(|path| std::fs::read_to_string(path).ok());
    newest.is_some_and(|text| text.contains("\"run_ended\""))
}

/// Guards of this stack on their post.
fn guards(stack: PathBuf) -> usize {
    let pattern = format!("guard .*--stack {}", stack.display());
    duct::cmd!("pgrep", "-fc", pattern).unchecked().read().ok().and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

impl Stack<'_> {
    /// The version that answers on the published port.
    fn version(&self) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/api/", self.port);
        let answer: Value = serde_json::from_str(&duct::cmd!("curl", "-fsS", "--max-time", "10", url).read()?)?;
        match answer["version"].as_str() {
            Some(version) => Ok(version.to_owned()),
            None => bail!("no version in {answer}"),
        }
    }
}
