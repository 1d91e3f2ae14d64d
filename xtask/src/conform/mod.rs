//! `cargo xtask conform`: whatever `docker compose up -d` makes of a stack, xr makes too.
//!
//! Each case is a stack in two versions. Once it is brought up and changed with compose alone, once with `xr install` and
//! `xr update`, with marks written wherever a container may write. Then the engine's own words of both are compared, and so
//! they are after `xr rollback` with those of before the update. A `docker compose up -d` by hand then recreates nothing.

mod cases;
mod compare;
mod images;
mod random;
mod side;
mod snapshot;

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use xr_lab::Lab;

use side::{ByCompose, ByXr, Side, Way};

/// Cases at once: each waits more than it works.
const AT_ONCE: usize = 7;

#[derive(Args)]
pub(crate) struct Conform {
    /// Only the cases of the table whose name has one of these in it
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// So many random stacks beside the table
    #[arg(long, default_value_t = 0)]
    random: u32,
    /// What chance is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A debug build, as the tests have it, instead of what users get
    #[arg(long)]
    debug: bool,
    /// How the stacks come into xr's hands
    #[arg(long, value_enum, default_value_t = Start::Installed)]
    start: Start,
    /// What every change must pass: a part of the table, and a few random stacks
    #[arg(long, exclusive = true)]
    sample: bool,
}

/// How a stack comes into xr's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// It is installed by xr.
    Installed,
    /// Compose has brought it up, and xr takes it over as it is.
    TakenOver,
    /// Compose has brought it up, and xr takes it over with the second version at once.
    Late,
}

impl Conform {
    fn sample() -> Self {
        Self { only: Vec::new(), random: 3, seed: 1, debug: true, start: Start::Installed, sample: true }
    }
}

/// Of so many cases of the table the sample has one.
const EVERY: usize = 5;

/// A stack in two versions.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub name: String,
    /// Files of the first version, then of the second: name and content.
    pub versions: [Vec<(String, String)>; 2],
    /// Lines of `.env` beside those that differ between the two ways.
    pub env: String,
    /// How it comes into xr's hands.
    pub start: Start,
}

impl Case {
    fn by(mut self, start: Start) -> Self {
        self.start = start;
        match start {
            Start::Installed => {}
            Start::TakenOver => self.name += ", taken over",
            Start::Late => self.name += ", taken over late",
        }
        self
    }
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    /// Neither way takes it, or xr says why not and has changed nothing.
    Refused(String),
    /// What differs, a line each.
    Different(Vec<String>),
}

pub(crate) fn run(options: &Conform) -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let options = if options.sample { &Conform::sample() } else { options };
    let folder = tempfile::tempdir()?;
    let xr = folder.path().join("xr");
    let built = if options.debug { xr_sim::Programs::build()?.xr } else { crate::bench::release_binary()? };
    std::fs::copy(built, &xr)?;
    let images = images::publish(&lab, folder.path())?;
    let chosen = |case: &Case| options.only.is_empty() || options.only.iter().any(|part| case.name.contains(part));
    let compose = numbers(&lab.record()?.compose);
    let table = cases::table(&images, compose);
    let every = |start, from: usize, step: usize| {
        table.iter().skip(from).step_by(step).cloned().map(move |case| case.by(start))
    };
    let table: Vec<Case> = if options.sample {
        let taken_over = every(Start::TakenOver, 1, 2 * EVERY).chain(every(Start::Late, 6, 2 * EVERY));
        every(Start::Installed, 0, EVERY).chain(taken_over).collect()
    } else {
        every(options.start, 0, 1).filter(chosen).collect()
    };
    let mut verdicts = judge_all(&lab, &xr, &table)?;
    let stacks = random::stacks(options.seed, options.random);
    let random: Vec<Case> = stacks.iter().map(|stack| stack.case(&images).by(options.start)).collect();
    let of_random = judge_all(&lab, &xr, &random)?;
    for (stack, (case, verdict)) in stacks.iter().zip(&of_random) {
        if matches!(verdict, Verdict::Different(_)) {
            let smallest = random::shrink(stack, &|smaller| {
                matches!(judge(&lab, &xr, &smaller.case(&images).by(options.start)), Ok(Verdict::Different(_)))
            });
            eprintln!("{}: the smallest that differs:\n{}", case.name, smallest.describe());
        }
    }
    verdicts.extend(of_random);
    print(lab.engine_name(), &verdicts);
    ensure!(
        !verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Different(_))),
        "xr made another stack than compose"
    );
    Ok(())
}

fn judge_all(lab: &Lab, xr: &Path, cases: &[Case]) -> Result<Vec<(Case, Verdict)>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some((at, case)) = {
                let at = next.fetch_add(1, Ordering::SeqCst);
                cases.get(at).map(|case| (at, case))
            } {
                let verdict =
                    judge(lab, xr, case).unwrap_or_else(|error| Verdict::Different(vec![format!("{error:#}")]));
                eprintln!("{}: {}", case.name, word(&verdict));
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, case.clone(), verdict));
            }
            Ok(())
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread died"),
        })
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, ..)| *at);
    Ok(done.into_iter().map(|(_, case, verdict)| (case, verdict)).collect())
}

/// Takes one case both ways.
fn judge(lab: &Lab, xr: &Path, case: &Case) -> Result<Verdict> {
    let (by_compose, by_xr) = std::thread::scope(|scope| {
        let compose = scope.spawn(|| -> Result<ByCompose> { ByCompose::walk(&Side::new(lab, case, Way::Compose)?) });
        let xr = Side::new(lab, case, Way::Xr(xr.to_owned())).and_then(|side| ByXr::walk(&side));
        (compose.join().unwrap_or_else(|_| bail!("a thread died")), xr)
    });
    let (compose, xr) = (by_compose?, by_xr?);
    // Since then compose makes a network anew whose definition has changed.
    let remakes = numbers(&lab.record()?.compose) >= (2, 31);
    let mut different = Vec::new();
    match (&compose.first, &xr.first) {
        (Ok(compose), Ok(xr)) => different.extend(compare::differences("install", compose, xr, remakes)),
        (Err(_), Err(why)) => return Ok(Verdict::Refused(why.clone())),
        (Ok(_), Err(why)) if xr.nothing_runs && why.contains("hint:") => return Ok(Verdict::Refused(why.clone())),
        (Ok(_), Err(why)) => different.push(format!("install: {why}")),
        (Err(why), Ok(_)) => different.push(format!("install: compose refuses: {why}")),
    }
    if different.is_empty() {
        match (&compose.second, &xr.second) {
            (Ok(compose), Ok(xr)) => different.extend(compare::differences("update", compose, xr, remakes)),
            (refused, Err(why)) => {
                let changed =
                    xr.marked.iter().zip(&xr.back).flat_map(|(was, is)| compare::differences("refused", was, is, true));
                let changed: Vec<String> = changed.collect();
                if changed.is_empty() && (refused.is_err() || why.contains("hint:")) {
                    return Ok(Verdict::Refused(why.clone()));
                }
                different.push(format!("update: {why}"));
                different.extend(changed);
            }
            (Err(why), Ok(_)) => different.push(format!("update: compose refuses: {why}")),
        }
    }
    if different.is_empty() {
        different.extend(
            xr.marked.iter().zip(&xr.back).flat_map(|(was, is)| compare::differences("rollback", was, is, true)),
        );
        different.extend(xr.recreated.iter().map(|name| format!("docker compose up -d by hand recreates {name}")));
    }
    different.extend(xr.found.iter().map(|found| format!("doctor: {found}")));
    Ok(if different.is_empty() { Verdict::Equal } else { Verdict::Different(different) })
}

/// The first two numbers of a version of compose.
fn numbers(compose: &str) -> (u32, u32) {
    let mut numbers = compose.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Equal => "equal",
        Verdict::Refused(_) => "refused",
        Verdict::Different(_) => "DIFFERENT",
    }
}

fn print(engine: &str, verdicts: &[(Case, Verdict)]) {
    println!("\n{:<44} engine {engine}", "case");
    for (case, verdict) in verdicts {
        println!("{:<44} {}", case.name, word(verdict));
        match verdict {
            Verdict::Equal => {}
            Verdict::Refused(why) => println!("    {}", why.lines().next().unwrap_or_default()),
            Verdict::Different(lines) => lines.iter().for_each(|line| println!("    {line}")),
        }
    }
    let count = |wanted: &str| verdicts.iter().filter(|(_, verdict)| word(verdict) == wanted).count();
    println!(
        "\n{} cases: {} equal, {} refused, {} different",
        verdicts.len(),
        count("equal"),
        count("refused"),
        count("DIFFERENT")
    );
}
