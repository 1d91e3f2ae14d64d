//! Records that are torn, damaged, lost or a newer xr's, and clocks that jump: every command says which file it is and what
//! to do, none guesses, the stack goes on serving, and what the hint says mends it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use duct::{Expression, cmd};
use xr_lab::wait_for;

use crate::support::{Background, Done, PATIENCE, Setup, Stack};

/// One way to spoil the records, and what must come of it.
struct Case {
    name: &'static str,
    /// Shell that spoils them, in the stack's folder; `$last` and `$first` are journals.
    spoil: &'static str,
    /// What every command that needs the record says, and the doctor.
    says: &'static [&'static str],
    /// Those commands.
    refused: &'static [&'static [&'static str]],
    /// Commands that do not need it, and still work.
    work: &'static [&'static [&'static str]],
    /// Shell that an admin runs because the hint says so.
    mend: &'static str,
}

const NEEDS_LAST_RUN: &[&[&str]] = &[
    &["update", "--yes"],
    &["rollback", "--yes"],
    &["start"],
    &["recover"],
    &["install", "--yes"],
    &["status"],
    &["history"],
];
const NEEDS_PRESENT: &[&[&str]] = &[
    &["update", "--yes"],
    &["rollback", "--yes"],
    &["start"],
    &["install", "--yes"],
    &["status"],
    &["history"],
    &["stop", "--yes"],
    &["uninstall", "--yes"],
    &["prune", "--dry-run"],
];

const CASES: &[Case] = &[
    Case {
        name: "rubbish in the newest journal",
        spoil: "sed -i '2s/.*/}{/' $last",
        says: &[".jsonl:2: not a journal record", "hint: ", ".damaged && xr doctor"],
        refused: NEEDS_LAST_RUN,
        work: &[],
        mend: "mv $last $last.damaged",
    },
    Case {
        name: "the beginning of the newest journal is lost",
        spoil: "sed -i 1d $last",
        says: &[".jsonl:1: the beginning of this journal is lost", "hint: mv "],
        refused: NEEDS_LAST_RUN,
        work: &[],
        mend: "mv $last $last.damaged",
    },
    Case {
        name: "a newer xr's journal",
        spoil: "printf '{\"record\":\"run_started\",\"format\":2,\"xr\":\"9.9.9\",\"plan\":{\"steps\":7}}\\n' > $last",
        says: &["written by a newer xr 9.9.9: it has format 2", "hint: xr --version"],
        refused: NEEDS_LAST_RUN,
        work: &[],
        mend: "cp $saved/journal/* .xr/journal/",
    },
    Case {
        name: "a journal that cannot be read",
        spoil: "rm $last; mkdir $last",
        says: &["cannot read ", ".jsonl", "hint: ls -l "],
        refused: NEEDS_LAST_RUN,
        work: &[],
        mend: "rmdir $last; cp $saved/journal/* .xr/journal/",
    },
    Case {
        name: "an old journal is damaged",
        spoil: "sed -i '2s/.*/}{/' $first",
        says: &[".jsonl:2: not a journal record", "hint: "],
        refused: &[&["history"], &["prune", "--dry-run"]],
        work: &[&["update", "--yes"], &["start"], &["recover"], &["status"]],
        mend: "mv $first $first.damaged",
    },
    Case {
        name: "the end of the newest journal is torn",
        spoil: "printf '{\"record\":\"step_sta' >> $last",
        says: &[],
        refused: &[],
        work: &[&["update", "--yes"], &["start"], &["status"], &["history"], &["recover"], &["doctor"]],
        mend: "",
    },
    Case {
        name: "the record of what serves is cut off",
        spoil: "truncate -s 300 .xr/generations/2/generation.json",
        says: &["/generations/2/generation.json:", "not a generation record: EOF", "hint: ", "&& xr install"],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "mv .xr/generations/2 .xr/generations/2.damaged && rm .xr/current && xr install --yes",
    },
    Case {
        name: "the record of what serves is empty",
        spoil: "truncate -s 0 .xr/generations/2/generation.json",
        says: &["/generations/2/generation.json:1:", "hint: "],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "cp $saved/generations/2/generation.json .xr/generations/2/",
    },
    Case {
        name: "the record of what serves is lost",
        spoil: "rm .xr/generations/2/generation.json",
        says: &["/.xr/current:1: there is no generation 2", "hint: ", "1 (v1.0.0)"],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "cp $saved/generations/2/generation.json .xr/generations/2/",
    },
    Case {
        name: "the record of what serves is a newer xr's",
        spoil: "sed -i 's/\"format\": 1/\"format\": 2/; s/\"mode\": .*/\"mode\": 7,/' .xr/generations/2/generation.json",
        says: &["/generations/2/generation.json was written by a newer xr: it has format 2", "hint: xr --version"],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "cp $saved/generations/2/generation.json .xr/generations/2/",
    },
    Case {
        name: "the record of an older generation is cut off",
        spoil: "truncate -s 300 .xr/generations/1/generation.json",
        says: &["/generations/1/generation.json:", "hint: ", "cannot be gone back to"],
        refused: &[&["rollback", "--yes"], &["history"]],
        work: &[&["update", "--yes"], &["start"], &["status"], &["recover"]],
        mend: "mv .xr/generations/1 .xr/generations/1.damaged",
    },
    Case {
        name: "the pointer leads nowhere",
        spoil: "echo 99 > .xr/current",
        says: &["/.xr/current:1: there is no generation 99", "hint: docker ps", "1 (v1.0.0), 2 (v1.1.0)"],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "echo 2 > .xr/current",
    },
    Case {
        name: "the pointer is empty",
        spoil: ": > .xr/current",
        says: &["/.xr/current:1: `` is not a generation's number", "hint: docker ps", "1 (v1.0.0), 2 (v1.1.0)"],
        refused: NEEDS_PRESENT,
        work: &[],
        mend: "echo 2 > .xr/current",
    },
];

fn sh(stack: &Stack, script: &str) -> Result<()> {
    let names =
        "last=$(ls -d .xr/journal/*.jsonl | tail -n 1); first=$(ls -d .xr/journal/*.jsonl | head -n 1); saved=../saved";
    let path = format!(
        "{}:{}",
        PathBuf::from(env!("CARGO_BIN_EXE_xr")).parent().context("no folder")?.display(),
        std::env::var("PATH")?
    );
    let output = stack.with_environment(cmd!("sh", "-ec", format!("{names}; {script}")).env("PATH", path));
    let output = output.stderr_to_stdout().stdout_capture().run()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn damaged_records_are_named_by_every_command_and_none_guesses() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    sh(&stack, "cp -a .xr $saved")?;
    let containers = stack.containers()?;
    let (env, head) = (stack.env()?, stack.git(&["rev-parse", "HEAD"])?);
    for case in CASES {
        let name = case.name;
        sh(&stack, case.spoil).context(name)?;
        for argv in case.refused {
            let done = stack.xr(argv)?;
            ensure!(done.code == 1, "{name}: {done}");
            for part in case.says {
                ensure!(done.stderr.contains(part), "{name}: nothing about {part:?} in {done}");
            }
            ensure!(!done.to_string().contains("panicked"), "{name}: {done}");
        }
        for argv in case.work {
            let done = stack.xr(argv)?;
            ensure!(done.code == 0, "{name}: {done}");
        }
        if !case.refused.is_empty() {
            let doctor = stack.xr(&["doctor"])?;
            ensure!(doctor.code == 6, "{name}: {doctor}");
            let named = case.says.iter().filter_map(|part| part.strip_prefix("hint: ").or(Some(part)));
            for part in named.filter(|part| !part.is_empty()) {
                ensure!(doctor.stdout.contains(part), "{name}: nothing about {part:?} in {doctor}");
            }
        }
        assert_eq!(containers, stack.containers()?, "{name}");
        assert_eq!((&env, &head), (&stack.env()?, &stack.git(&["rev-parse", "HEAD"])?), "{name}");
        assert_eq!(stack.version()?, "v1.1.0", "{name}");
        sh(&stack, case.mend).context(name)?;
        stack.xr(&["update", "--yes"])?.exits(0);
        stack.assert_all_of_it_is("v1.1.0").context(name)?;
        assert_eq!(containers, stack.containers()?, "{name}: mending replaced what ran");
        sh(&stack, "rm -rf .xr && cp -a $saved .xr")?;
    }
    stack.xr(&["rollback", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")
}

/// `xr` with a clock that is read from a file: `-365d`, or what libfaketime understands besides.
fn with_clock(stack: &Stack, argv: &[&str], clock: &str) -> Result<Expression> {
    let file = stack.scratch("clock")?.join("offset");
    fs::write(&file, clock)?;
    Ok(stack.with_environment(
        cmd(env!("CARGO_BIN_EXE_xr"), argv)
            .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
            .env("FAKETIME_TIMESTAMP_FILE", &file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DISABLE_SHM", "1"),
    ))
}

fn set_clock(stack: &Stack, clock: &str) -> Result<()> {
    Ok(fs::write(stack.scratch("clock")?.join("offset"), clock)?)
}

/// What history tells, oldest first: command, version, whether it ended well.
fn history(stack: &Stack) -> Result<Vec<(String, String, String)>> {
    let runs = stack.history()?["runs"].as_array().context("no runs")?.clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(runs.iter().map(|run| (text(&run["command"]), text(&run["to"]), text(&run["outcome"]["verdict"]))).collect())
}

fn told(runs: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    runs.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[test]
fn a_clock_that_jumps_changes_neither_the_order_of_runs_nor_what_is_recovered() -> Result<()> {
    ensure!(fs::exists("/usr/bin/faketime")?, "libfaketime is not installed: apt-get install faketime");
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    let (update, back) = (["update", "--yes", "--to", "v1.1.0"], ["rollback", "--yes"]);

    // Set back by a year between two runs.
    Done::of(&update, with_clock(&stack, &update, "-365d")?)?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    let year = |done: &Done| done.stdout.lines().next().map(str::to_owned);
    let mut expected = vec![("install", "v1.0.0", "changed"), ("update", "v1.1.0", "changed")];
    assert_eq!(history(&stack)?, told(&expected));
    let runs = stack.history()?;
    let at = |index: usize| runs["runs"][index]["at"].as_str().unwrap_or_default().to_owned();
    ensure!(at(1) < at(0), "the clock was not set back: {} and {}", at(0), at(1));
    let status = stack.xr(&["status"])?.exits(0);
    ensure!(status.stdout.contains("v1.1.0"), "{:?}", year(&status));

    // Killed with its guard under a clock of last year: the newest run, though every other one looks newer.
    let journals = stack.journals();
    let run = Background::start(&back, with_clock(&stack, &back, "-400d")?)?;
    ensure!(stack.wait_for_lines(&run, &journals, 16)?);
    run.kill_group()?;
    stack.kill_guards()?;
    run.end()?;
    let status = stack.xr(&["status"])?.exits(0);
    ensure!(status.to_string().contains("rollback to v1.0.0"), "{status}");
    stack.xr(&["recover"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    stack.assert_compose_agrees()?;
    expected.push(("rollback", "v1.0.0", "rolled_back"));
    assert_eq!(history(&stack)?, told(&expected));

    // Set back, then forward, while a run is at work.
    let journals = stack.journals();
    let run = Background::start(&back, with_clock(&stack, &back, "+0d")?)?;
    ensure!(stack.wait_for_lines(&run, &journals, 8)?);
    set_clock(&stack, "-365d")?;
    ensure!(stack.wait_for_lines(&run, &journals, 16)?);
    set_clock(&stack, "+365d")?;
    run.end()?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    expected.push(("rollback", "v1.0.0", "changed"));
    assert_eq!(history(&stack)?, told(&expected));

    // And killed after such a jump; its guard ends it.
    let journals = stack.journals();
    let run = Background::start(&update, with_clock(&stack, &update, "+0d")?)?;
    ensure!(stack.wait_for_lines(&run, &journals, 12)?);
    set_clock(&stack, "-365d")?;
    run.kill_group()?;
    wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())?;
    run.end()?;
    let version = stack.version()?;
    stack.assert_all_of_it_is(&version)?;
    stack.xr(&update)?.exits(0).never_says("did not end");
    stack.assert_all_of_it_is("v1.1.0")?;
    let last = history(&stack)?.pop().context("no run")?;
    assert_eq!((last.0.as_str(), last.1.as_str()), ("update", "v1.1.0"));
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()
}

#[test]
fn of_two_updates_at_once_one_does_it_and_the_other_is_refused_or_finds_it_done() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    // Cron and a terminal, started in the same moment.
    let (first, second) = (stack.start_xr(&["update", "--yes"])?, stack.start_xr(&["update", "--yes"])?);
    let (first, second) = (first.end()?, second.end()?);
    let (winner, loser) = if first.code == 0 { (first, second) } else { (second, first) };
    let winner = winner.exits(0);
    ensure!(winner.stdout.contains("v1.0.0 → v1.1.0"), "{winner}");
    loser.exits(5).says("xr update (pid ").says("hint: --wait ");
    stack.assert_all_of_it_is("v1.1.0")?;

    // The same where the second waits: it has nothing left to do.
    stack.xr(&["rollback", "--yes"])?.exits(0);
    let waits = ["update", "--yes", "--to", "v1.1.0", "--wait", "5m"];
    let (first, second) = (stack.start_xr(&waits)?, stack.start_xr(&waits)?);
    let (first, second) = (first.end()?.exits(0), second.end()?.exits(0));
    let did = [&first, &second].iter().filter(|done| done.stdout.contains("v1.0.0 → v1.1.0")).count();
    assert_eq!(did, 1, "{first}{second}");
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(history(&stack)?.len(), 4, "install, update, rollback, update");
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()
}
