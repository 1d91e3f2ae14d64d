//! The second part of the certificate: the real engine, under load, and beside it the same done to compose.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use duct::Handle;
use serde_json::Value;
use tempfile::TempDir;
use xr_lab::{Lab, archive_service, wait_for};

use super::{Crash, chance::Chance, table::Row};
use crate::bench::{
    load::{Load, ask},
    stack::Stack,
};

const VERSIONS: [&str; 2] = ["v1.0.0", "v1.1.0"];
/// A publisher's manifest that has what was started watched for a second only.
const QUICK: &str = "[health]\nsettle = \"1s\"\n";
/// What stands in a volume without a name from the beginning.
const MARK: &str = "kept";
/// How long a guard may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Kills beside which compose is shown: of each that it does not survive it gets 20 s to come back.
const COMPARED: usize = 40;

/// What both parts work with.
struct Ground {
    lab: Lab,
    /// A copy: somebody may build another one in the meantime.
    xr: PathBuf,
    /// Random moments, in thousandths of the whole.
    shares: Vec<u64>,
    _folder: TempDir,
}

impl Ground {
    fn of(options: &Crash) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let xr = folder.path().join("xr");
        std::fs::copy(options.programs()?.xr, &xr)?;
        let mut chance = Chance::of(options.seed);
        let shares = (0..options.real_runs()).map(|_| chance.below(1000)).collect();
        Ok(Self { lab: Lab::attach_or_up()?, xr, shares, _folder: folder })
    }
}

pub(crate) fn run(options: &Crash) -> Result<Vec<Row>> {
    let Ground { lab, xr, shares, _folder } = Ground::of(options)?;
    let every = options.every();
    let which = if every == 1 { "each record".to_owned() } else { format!("every {every}th record") };
    let halves = shares.split_at(shares.len() / 2);
    let ways = [("update", 0, halves.0), ("rollback", 1, halves.1)].map(|(name, from, shares)| Way {
        from,
        shares,
        every,
        lines: AtomicUsize::new(1),
        next: AtomicUsize::new(0),
        records: Mutex::new(Row::of(format!("real: {name}, at {which}"))),
        random: Mutex::new(Row::of(format!("real: {name}, at random moments"))),
    });
    side_by_side(|number| {
        let stack =
            Stack::install(&lab, &xr, &format!("crash{number}"), 18_220 + number, &VERSIONS, &archive_service(QUICK))?;
        let mut victim = Victim { stack: &stack, at: 0 };
        stack.exec("archive", &format!("echo {MARK} >/data/mark"))?;
        let whole = [victim.undisturbed()?, victim.undisturbed()?];
        ways.iter().try_for_each(|way| victim.walk(way, whole[way.from]))
    })?;
    let both = ways.into_iter().flat_map(|way| [way.records, way.random]);
    Ok(both.map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

/// The same random moments for `docker compose up -d`.
pub(crate) fn beside(options: &Crash) -> Result<Row> {
    let Ground { lab, xr, shares, _folder } = Ground::of(options)?;
    let shares = &shares[..shares.len().min(COMPARED)];
    let row = Mutex::new(Row::of("real: docker compose up -d, at random moments"));
    let next = AtomicUsize::new(0);
    side_by_side(|number| compose(&lab, &xr, number, &|| shares.get(next.fetch_add(1, Ordering::SeqCst)), &row))?;
    Ok(row.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Stacks at once: a run waits more than it works.
const STACKS: u16 = 3;

fn side_by_side(work: impl Fn(u16) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..STACKS)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread died"),
        })
    })
}

/// So many thousandths of a time.
fn of(whole: Duration, share: u64) -> Duration {
    whole * u32::try_from(share).unwrap_or(0) / 1000
}

fn add(sum: &Mutex<Row>, row: &Row) {
    sum.lock().unwrap_or_else(PoisonError::into_inner).add(row);
}

/// What is killed, where: one of the two commands, by all stacks together.
struct Way<'a> {
    /// Which of [`VERSIONS`] serves before.
    from: usize,
    /// The random moments, in thousandths of the whole.
    shares: &'a [u64],
    /// Of so many records one.
    every: usize,
    lines: AtomicUsize,
    next: AtomicUsize,
    records: Mutex<Row>,
    random: Mutex<Row>,
}

/// A stack that is updated and taken back.
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

    /// Leads to the other version, and tells how long that takes when nobody disturbs it.
    fn undisturbed(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.stack.xr(&self.argv()).stdout_null().stderr_null().run()?;
        self.at = 1 - self.at;
        Ok(begun.elapsed())
    }

    /// Every kill of one way, as far as no other stack has done it.
    fn walk(&mut self, way: &Way<'_>, whole: Duration) -> Result<()> {
        loop {
            self.stand_at(way.from)?;
            if !self.at_record(&way.records, way.lines.fetch_add(way.every, Ordering::SeqCst))? {
                break;
            }
        }
        while let Some(share) = way.shares.get(way.next.fetch_add(1, Ordering::SeqCst)) {
            self.stand_at(way.from)?;
            self.killed(&way.random, &|_| Ok(Instant::now()), of(whole, *share))?;
        }
        Ok(())
    }

    fn stand_at(&mut self, version: usize) -> Result<()> {
        if self.at == version { Ok(()) } else { self.undisturbed().map(drop) }
    }

    /// Kills once the journal has so many lines. False when the run ends before it has.
    fn at_record(&mut self, row: &Mutex<Row>, lines: usize) -> Result<bool> {
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
        self.killed(row, &reached, Duration::ZERO)
    }

    /// Starts the command, waits for `reached`, then for `delay`, kills, and judges once the guard is done. False when the
    /// command ended before.
    fn killed(
        &mut self,
        sum: &Mutex<Row>,
        reached: &dyn Fn(&Handle) -> Result<Instant>,
        delay: Duration,
    ) -> Result<bool> {
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
        let guarded = wait_for("the guard", PATIENCE, || ended(self.stack.dir()) && guards(self.stack.dir()) == 0);
        let seen = load.end();
        let serves = self.stack.version();
        let says = self.says();
        let keeps = self.stack.exec("archive", "cat /data/mark /etc/note");
        let kept = |version: &str| keeps.as_ref().is_ok_and(|text| *text == format!("{MARK}\narchive of {version}"));
        let mut row = Row { kills: u32::from(alive), ..Row::default() };
        match serves.as_deref().ok().and_then(|version| VERSIONS.iter().position(|known| *known == version)) {
            Some(version)
                if guarded.is_ok()
                    && says.as_deref().is_ok_and(|says| says == VERSIONS[version])
                    && kept(VERSIONS[version]) =>
            {
                let counted = if version == self.at { &mut row.old } else { &mut row.new };
                *counted += u32::from(alive);
                self.at = version;
                row.gaps.push(seen.gap);
            }
            _ => {
                row.broken += 1;
                eprintln!(
                    "{:?} killed after {delay:?}: {serves:?} serves, xr says {says:?}, {keeps:?} is kept",
                    self.argv()
                );
                self.stack.xr(&["install", "--yes"]).run().context("cannot go on")?;
                self.at =
                    VERSIONS.iter().position(|known| self.stack.version().is_ok_and(|v| v == *known)).unwrap_or(0);
            }
        }
        add(sum, &row);
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
fn compose<'a>(lab: &Lab, xr: &Path, number: u16, next: &dyn Fn() -> Option<&'a u64>, sum: &Mutex<Row>) -> Result<()> {
    let quick = [("xr.toml", QUICK.to_owned())];
    let stack = Stack::install(lab, xr, &format!("compose{number}"), 18_230 + number, &VERSIONS, &quick)?;
    let mut at = 0;
    let mut longest = Duration::from_secs(30);
    while let Some(share) = next() {
        stack.switch_tree(VERSIONS[1 - at])?;
        // The images are there: what is compared is the switch.
        stack.compose(&["pull", "--quiet", "--ignore-pull-failures"]).stdout_null().stderr_null().unchecked().run()?;
        let load = Load::begin(stack.port);
        let begun = Instant::now();
        let handle = in_own_group(stack.compose(&["up", "-d"])).start()?;
        std::thread::sleep(of(longest, *share));
        let alive = handle.try_wait()?.is_none();
        if alive {
            kill_group(&handle)?;
        } else {
            longest = begun.elapsed();
        }
        handle.wait()?;
        // As long as a guard usually takes.
        let healed = wait_for("an answer", Duration::from_secs(20), || stack.version().is_ok()).is_ok();
        let mut row = Row { kills: u32::from(alive), gaps: vec![load.end().gap], ..Row::default() };
        match (healed, stack.version()) {
            (true, Ok(version)) if version == VERSIONS[at] => row.old = u32::from(alive),
            (true, Ok(_)) => row.new = u32::from(alive),
            _ => row.broken = u32::from(alive),
        }
        add(sum, &row);
        eprint!(".");
        // What a kill leaves sometimes stands in compose's own way.
        let mended = stack.compose(&["up", "-d", "--wait"]).stdout_null().stderr_null().unchecked().run()?;
        if !mended.status.success() {
            stack.compose(&["down"]).stdout_null().stderr_null().run()?;
            stack.compose(&["up", "-d", "--wait"]).stdout_null().stderr_null().run()?;
        }
        at = 1 - at;
    }
    Ok(())
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
