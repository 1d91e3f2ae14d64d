//! The first part of the certificate: a simulated engine, on which every record, every change on the disk and every call of
//! the engine can be the last, in the recovery too, and in the recovery of that.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use xr_sim::{Killed, Programs, Reply, World};

use super::{Crash, Part, chance::Chance, site::Site, table::Row};

/// Two that work, and one that crashes soon after it was healthy.
pub(super) const VERSIONS: [&str; 3] = ["v1.0.0", "v1.1.0", "v1.2.1"];
/// Worlds at once: a run waits more than it works.
const WORLDS: u16 = 16;
/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Install,
    Update,
    FailedUpdate,
    Rollback,
}

const SCENARIOS: [Scenario; 4] = [Scenario::Install, Scenario::Update, Scenario::FailedUpdate, Scenario::Rollback];

impl Scenario {
    pub fn argv(self) -> &'static [&'static str] {
        match self {
            Self::Install => &["install", "--yes"],
            Self::Update => &["update", "--yes", "--to", VERSIONS[1]],
            Self::FailedUpdate => &["update", "--yes", "--to", VERSIONS[2]],
            Self::Rollback => &["rollback", "--yes", "--to", VERSIONS[0]],
        }
    }

    /// What may be there afterwards: the old and the new, which are the same for an update that fails.
    pub fn ends(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Install => (None, Some(VERSIONS[0])),
            Self::Update => (Some(VERSIONS[0]), Some(VERSIONS[1])),
            Self::FailedUpdate => (Some(VERSIONS[1]), Some(VERSIONS[1])),
            Self::Rollback => (Some(VERSIONS[1]), Some(VERSIONS[0])),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::FailedUpdate => "update that fails",
            Self::Rollback => "rollback",
        }
    }
}

/// What is left of a record whose fsync is the last thing that happens: nothing, half of it, all.
const FSYNC: [&str; 3] = ["lost", "torn", "after"];
const CHANGE: [&str; 2] = ["before", "after"];

/// Where and how.
#[derive(Clone, Debug)]
enum Point {
    /// The n-th record of the journal: `lost`, `torn` or `after` its fsync.
    Record(u64, &'static str),
    /// The n-th change on the disk: `before` or `after`.
    File(u64, &'static str),
    /// The n-th call that changes something on the engine, and whether it takes effect.
    Call(u64, bool),
    /// Nobody is killed: the n-th change on the disk fails so, and every one after it too.
    Fails(u64, &'static str, bool),
}

/// Who is there to end what was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The guard.
    Guard,
    /// Nobody: the power fails, the engine starts what it starts by itself, and the next command recovers.
    PowerCut,
}

/// One trial: a kill, kills of the recoveries after it, and how it goes on.
#[derive(Clone, Debug)]
struct Trial {
    scenario: Scenario,
    first: Point,
    again: Vec<Point>,
    then: Then,
}

/// What a scenario does when nobody disturbs it.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    records: u64,
    files: u64,
    calls: u64,
}

pub(crate) fn run(options: &Crash, chance: &mut Chance) -> Result<Vec<Row>> {
    let programs = options.programs()?;
    let mut rows = Vec::new();
    let mut sites = (0..WORLDS).map(|number| Site::new(&programs, number)).collect::<Result<Vec<Site>>>()?;
    let mut sizes = Vec::new();
    for scenario in SCENARIOS {
        sizes.push((scenario, measure(&mut sites[0], scenario)?));
    }
    for (scenario, size) in &sizes {
        let Size { records, files, calls } = size;
        eprintln!("{}: {records} records, {files} changes on the disk, {calls} of the engine", scenario.title());
    }
    let mut part = |sites: &mut [Site], title: &str, trials: &dyn Fn(Scenario, Size) -> Vec<Trial>| {
        for (scenario, size) in &sizes {
            let title = format!("simulated: {}, {title}", scenario.title());
            rows.push(batch(&programs, sites, &title, &trials(*scenario, *size))?);
        }
        anyhow::Ok(())
    };
    if options.wants(Part::Records) {
        part(&mut sites, "at each record", &|scenario, size| at_each_record(scenario, size, options.in_turn))?;
    }
    if options.wants(Part::Recoveries) {
        let inner = recovery_records(&mut sites[0], &sizes)?;
        part(&mut sites, "and at each record of its recovery", &|scenario, size| {
            in_each_recovery(scenario, size, inner)
        })?;
    }
    if options.wants(Part::Writes) {
        part(&mut sites, "each change on the disk fails", &at_each_change)?;
    }
    if options.wants(Part::Anywhere) {
        let trials: Vec<Trial> = (0..options.runs).map(|_| random(chance, &sizes)).collect();
        rows.push(batch(&programs, &mut sites, "simulated: anywhere, and again in up to three recoveries", &trials)?);
    }
    Ok(rows)
}

fn measure(site: &mut Site, scenario: Scenario) -> Result<Size> {
    let world = site.begin(scenario)?;
    world.operations();
    let before = world.engine().changes();
    let reply = world.xr(scenario.argv(), &Killed::default())?;
    let wanted = if scenario == Scenario::FailedUpdate { 3 } else { 0 };
    ensure!(reply.code == Some(wanted), "{scenario:?}: {:?} {}{}", reply.code, reply.stdout, reply.stderr);
    ensure!(world.truth()?.as_deref() == scenario.ends().1, "{scenario:?} undisturbed: {:?}", world.truth()?);
    let calls = world.engine().changes() - before;
    let operations = world.operations();
    let ours = || operations.iter().filter(|line| line.starts_with("run "));
    let records = ours().filter(|line| line.starts_with("run sync ") && line.ends_with(".jsonl")).count() as u64;
    Ok(Size { records, files: ours().count() as u64, calls })
}

/// All six ways in which a record can be the last, or for each record the next of them.
fn at_each_record(scenario: Scenario, size: Size, in_turn: bool) -> Vec<Trial> {
    let ways = [Then::Guard, Then::PowerCut].into_iter().flat_map(|then| FSYNC.map(|what| (what, then)));
    let ways: Vec<(&str, Then)> = ways.collect();
    let number_of = if in_turn { 1 } else { ways.len() };
    let mut next = ways.into_iter().cycle();
    let mut trials = Vec::new();
    for number in 1..=size.records {
        for (what, then) in next.by_ref().take(number_of) {
            trials.push(Trial { scenario, first: Point::Record(number, what), again: Vec::new(), then });
        }
    }
    trials
}

fn at_each_change(scenario: Scenario, size: Size) -> Vec<Trial> {
    let errors = ["ENOSPC", "EIO", "EROFS"].into_iter().cycle();
    let mut trials = Vec::new();
    for (number, error) in (1..=size.files).zip(errors) {
        for and_on in [false, true] {
            let first = Point::Fails(number, error, and_on);
            trials.push(Trial { scenario, first, again: Vec::new(), then: Then::Guard });
        }
    }
    trials
}

/// How many records the longest recovery writes.
fn recovery_records(site: &mut Site, sizes: &[(Scenario, Size)]) -> Result<u64> {
    let mut longest = 0;
    for (scenario, size) in sizes {
        let world = site.begin(*scenario)?;
        // Shortly before the end there is most to take back.
        let last = Point::Record(size.records.saturating_sub(6), "after");
        world.xr(scenario.argv(), &killed(&last, true))?;
        world.operations();
        world.xr_ok(&["recover"])?;
        let written =
            world.operations().iter().filter(|line| line.contains(" sync ") && line.ends_with(".jsonl")).count();
        longest = longest.max(written as u64);
    }
    Ok(longest)
}

fn in_each_recovery(scenario: Scenario, size: Size, inner: u64) -> Vec<Trial> {
    let mut trials = Vec::new();
    for number in 1..=size.records {
        for within in 1..=inner {
            // The two differ by what the recovery has done before: between them lies each of its steps.
            let what = if (number + within) % 2 == 0 { "lost" } else { "after" };
            let (first, again) = (Point::Record(number, "after"), vec![Point::Record(within, what)]);
            trials.push(Trial { scenario, first, again, then: Then::PowerCut });
        }
    }
    trials
}

fn random(chance: &mut Chance, sizes: &[(Scenario, Size)]) -> Trial {
    let (scenario, size) = chance.one(sizes);
    let first = somewhere(chance, size);
    let times = chance.below(4);
    // A recovery does about as much as half of a run.
    let half = Size { records: size.records / 2, files: size.files / 2, calls: size.calls / 2 };
    let again = (0..times).map(|_| somewhere(chance, half)).collect();
    let then = if chance.below(2) == 0 { Then::Guard } else { Then::PowerCut };
    Trial { scenario, first, again, then }
}

fn somewhere(chance: &mut Chance, size: Size) -> Point {
    match chance.below(3) {
        0 => Point::Record(1 + chance.below(size.records), chance.one(&FSYNC)),
        1 => Point::File(1 + chance.below(size.files), chance.one(&CHANGE)),
        _ => Point::Call(1 + chance.below(size.calls), chance.below(2) == 0),
    }
}

fn killed(point: &Point, guard_dies: bool) -> Killed {
    let mut points = match point {
        Point::Record(number, what) => format!("run:journal:{number}:{what}"),
        Point::File(number, what) => format!("run:file:{number}:{what}"),
        Point::Fails(number, how, and_on) => format!("run:file:{number}{}:{how}", if *and_on { "+" } else { "" }),
        Point::Call(..) => String::new(),
    };
    if guard_dies {
        points += ",guard:look:1:before";
    }
    let call = match point {
        Point::Call(number, takes_effect) => Some((*number, *takes_effect, guard_dies)),
        _ => None,
    };
    Killed { points, call }
}

/// Runs all trials, in several worlds at once.
fn batch(programs: &Programs, sites: &mut [Site], title: &str, trials: &[Trial]) -> Result<Row> {
    eprint!("{title}: {} trials ", trials.len());
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Row::of(title));
    std::thread::scope(|scope| {
        let threads: Vec<_> = sites
            .iter_mut()
            .zip(0..)
            .map(|(site, number)| {
                let (next, sum) = (&next, &sum);
                scope.spawn(move || worker(site, &|| Site::new(programs, number), trials, next, sum))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => anyhow::bail!("a thread died"),
        })
    })?;
    eprintln!();
    Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn worker(
    site: &mut Site,
    another: &dyn Fn() -> Result<Site>,
    trials: &[Trial],
    next: &AtomicUsize,
    sum: &Mutex<Row>,
) -> Result<()> {
    while let Some(trial) = trials.get(next.fetch_add(1, Ordering::SeqCst)) {
        let mut row = Row::default();
        let world = site.begin(trial.scenario).with_context(|| format!("before {trial:?}"))?;
        match one(world, trial) {
            // It ended before the point.
            Ok(None) => site.there = Some(site.world.truth()?),
            Ok(Some(version)) => {
                row.kills = 1;
                let (old, new) = trial.scenario.ends();
                if version.as_deref() == new && old != new {
                    row.new = 1
                } else {
                    row.old = 1
                }
                site.there = Some(version);
            }
            Err(error) => {
                (row.kills, row.broken) = (1, 1);
                eprintln!("\n{trial:?}\n  {error:#}");
                *site = another()?;
            }
        }
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.add(&row);
        if sum.kills.is_multiple_of(50) {
            eprint!(".");
        }
    }
    Ok(())
}

/// Kills, recovers, judges. None when the run ended before its point; else what is there, by every sign.
fn one(world: &World, trial: &Trial) -> Result<Option<Option<String>>> {
    let dies = trial.then == Then::PowerCut;
    let mut reply = world.xr(trial.scenario.argv(), &killed(&trial.first, dies))?;
    let was_killed = reply.code.is_none();
    if let Point::Fails(..) = trial.first {
        return failed(world, trial, &reply).map(Some);
    }
    for point in &trial.again {
        if reply.code.is_some() {
            break;
        }
        if dies {
            world.engine().power_cut();
        }
        reply = world.xr(&["recover"], &killed(point, dies))?;
    }
    if !was_killed {
        return Ok(None);
    }
    if dies {
        world.engine().power_cut();
        world.xr_ok(&["recover"])?;
    }
    let (old, new) = trial.scenario.ends();
    let said = format!("{}{}", reply.stdout, reply.stderr);
    let there = world.truth().with_context(|| said.clone())?;
    ensure!(there.as_deref() == old || there.as_deref() == new, "{there:?} is there: {said}");
    let before = world.engine().changes();
    world.xr_ok(&["recover"]).context("a second recovery")?;
    ensure!(world.engine().changes() == before, "a second recovery found something to change");
    if there.is_none() && trial.again.is_empty() {
        world.xr_ok(trial.scenario.argv()).context("the install after it")?;
        ensure!(world.truth()?.as_deref() == new, "the install after it did not bring {new:?}");
    }
    Ok(Some(there))
}

/// Nobody was killed, and a write failed: what xr said is true, and whatever it could not do it does when the disk is well.
fn failed(world: &World, trial: &Trial, reply: &Reply) -> Result<Option<String>> {
    let said = || format!("exit code {:?}: {}{}", reply.code, reply.stdout, reply.stderr);
    let code = reply.code.with_context(said)?;
    ensure!(!reply.stderr.contains("panicked"), said());
    world.xr_ok(&["recover"]).with_context(said)?;
    let there = world.truth().with_context(said)?;
    let (old, new) = trial.scenario.ends();
    let fits = match code {
        0 => there.as_deref() == new,
        4 => there.as_deref() == old || there.as_deref() == new,
        _ => there.as_deref() == old,
    };
    ensure!(fits, "{there:?} is there: {}", said());
    Ok(there)
}
