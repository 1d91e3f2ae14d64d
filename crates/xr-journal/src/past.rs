//! What the journals tell of runs. What cannot be read is never taken for "nothing happened".

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IgnoredAny};
use xr_model::{Fault, JOURNAL_FORMAT, Outcome, Plan, Record, Result, StepId, shell};

use crate::{Home, order::run_order, refusal::refused};

/// What a journal tells of a run.
#[derive(Clone, Debug)]
pub struct PastRun {
    /// The run's id: the journal's file name without its ending.
    pub id: String,
    /// When it began (RFC 3339, UTC).
    pub at: String,
    /// What it was to do.
    pub plan: Plan,
    /// Steps that were begun.
    pub started: BTreeSet<StepId>,
    /// Steps that were done.
    pub done: BTreeSet<StepId>,
    /// Of these, those that had nothing to do, and why.
    pub skipped: BTreeMap<StepId, String>,
    /// Whether the undo had begun, and why.
    pub unwinding: Option<String>,
    /// How it ended; none when it did not.
    pub outcome: Option<Outcome>,
}

/// All runs, oldest first.
///
/// # Errors
/// When a journal cannot be read or was written by a newer xr.
pub fn read_runs(home: &Home) -> Result<Vec<PastRun>> {
    let mut runs = Vec::new();
    for path in &journals(home)? {
        runs.extend(read_run(path)?);
    }
    Ok(runs)
}

/// The newest run, when it did not end.
///
/// # Errors
/// As [`read_runs`], for the journals that have to be read.
pub fn unfinished(home: &Home) -> Result<Option<PastRun>> {
    for path in journals(home)?.iter().rev() {
        // A journal without a whole first line is of a run that never began: the one before it counts.
        if let Some(run) = read_run(path)? {
            return Ok(Some(run).filter(|run| run.outcome.is_none()));
        }
    }
    Ok(None)
}

/// All journals, that of the oldest run first.
fn journals(home: &Home) -> Result<Vec<PathBuf>> {
    let folder = home.journals();
    let unreadable = |error| refused("read", &folder, error);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".jsonl") {
            names.push(name);
        }
    }
    names.sort_by(|one, other| run_order(one).cmp(&run_order(other)));
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The first line of any format.
#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    xr: String,
}

fn read_run(path: &Path) -> Result<Option<PastRun>> {
    let text = fs::read(path).map_err(|error| {
        let fault = refused("read", path, error);
        let aside = format!("ls -l {}; {}", shell(path), set_aside(path));
        Fault { hint: fault.hint.or(Some(aside)), ..fault }
    })?;
    let text = String::from_utf8_lossy(&text);
    let mut run: Option<PastRun> = None;
    let last = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        let record = match serde_json::from_str::<Record>(line) {
            Ok(record) => record,
            Err(_) if index + 1 == last || is_torn(line) => continue,
            Err(error) => return Err(damaged(path, index + 1, line, error)),
        };
        match (record, run.as_mut()) {
            (Record::RunStarted { format, xr, .. }, _) if format > JOURNAL_FORMAT => {
                return Err(newer(path, &Head { format, xr }));
            }
            (Record::RunStarted { at, plan, .. }, _) => {
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let (started, done, skipped) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
                run = Some(PastRun { id, at, plan, started, done, skipped, unwinding: None, outcome: None });
            }
            (_, None) => {
                let fault = Fault::new(format!("{}:1: the beginning of this journal is lost", path.display()));
                return Err(fault.hint(set_aside(path)));
            }
            (Record::StepStarted { step }, Some(run)) => {
                run.started.insert(step);
            }
            (Record::StepDone { step, skipped, .. }, Some(run)) => {
                run.done.insert(step);
                run.skipped.extend(skipped.map(|why| (step, why)));
            }
            (Record::UnwindStarted { cause }, Some(run)) => run.unwinding = Some(cause),
            (Record::RunEnded { outcome, .. }, Some(run)) => run.outcome = Some(outcome),
            (Record::StepUndone { .. } | Record::StepFailed { .. }, Some(_)) => {}
        }
    }
    // What a newer xr wrote is not understood, and must not be taken for torn when it is the only line.
    if let (None, Ok(head)) = (&run, serde_json::from_str::<Head>(text.lines().next().unwrap_or_default()))
        && head.format > JOURNAL_FORMAT
    {
        return Err(newer(path, &head));
    }
    Ok(run)
}

/// Whether a crash broke a line off: a beginning of a record, where a power cut may have left zeros behind it. An xr
/// that went on after it gave the next record a line of its own.
fn is_torn(line: &str) -> bool {
    let line = line.trim_end_matches('\0');
    line.is_empty() || serde_json::from_str::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

fn damaged(path: &Path, number: usize, line: &str, error: serde_json::Error) -> Fault {
    match serde_json::from_str::<Head>(line) {
        Ok(head) if head.format > JOURNAL_FORMAT => newer(path, &head),
        _ => Fault::new(format!("{}:{number}: not a journal record of this xr", path.display()))
            .because(error)
            .hint(format!("written by a newer xr: use that one; damaged: {}", set_aside(path))),
    }
}

fn newer(path: &Path, head: &Head) -> Fault {
    let by = if head.xr.is_empty() { String::new() } else { format!(" {}", head.xr) };
    let format = head.format;
    Fault::new(format!(
        "{} was written by a newer xr{by}: it has format {format}, this one knows {JOURNAL_FORMAT}",
        path.display()
    ))
    .hint("xr --version; use the newer one")
}

/// The run is forgotten then: the doctor compares what runs with what was recorded last.
fn set_aside(path: &Path) -> String {
    format!("mv {0} {0}.damaged && xr doctor", shell(path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::Journal;
    use xr_model::{RunKind, Version};

    fn plan(generation: u32) -> Plan {
        let version: Version = "v1.0.0".parse().unwrap();
        Plan {
            kind: RunKind::Update,
            from: Some(1),
            from_version: None,
            generation,
            version,
            kept: vec![],
            stages: vec![],
        }
    }

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        (dir, home)
    }

    fn begin(home: &Home, at: &str, generation: u32) -> Journal {
        Journal::begin(home, at, &plan(generation), "0.0.0").unwrap()
    }

    fn path(home: &Home, journal: &Journal) -> PathBuf {
        home.journals().join(format!("{}.jsonl", journal.id()))
    }

    fn put(path: &Path, bytes: &[u8]) {
        fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }

    fn started(step: u32) -> Record {
        Record::StepStarted { step: StepId(step) }
    }

    #[test]
    fn a_torn_last_line_is_ignored_then_cut_off_and_the_run_counts_as_unfinished() {
        let torn: [&[u8]; 4] =
            [b"{\"record\":\"step_do", b"{\"record\":\"step_done\",\"x\":{}", b"\0\0\0\0", b"{\"a\":1}\0\0"];
        for torn in torn {
            let (_dir, home) = home();
            let mut journal = begin(&home, "2026-01-02T03:04:05Z", 2);
            journal.append(&started(1)).unwrap();
            let path = path(&home, &journal);
            let whole = fs::read(&path).unwrap();
            put(&path, &[&whole, torn].concat());
            let run = unfinished(&home).unwrap().unwrap();
            assert_eq!((run.started, run.done.len()), ([StepId(1)].into(), 0));

            let mut again = Journal::open(&home, journal.id()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut off");
            again.append(&Record::StepDone { step: StepId(1), ms: 1, skipped: None }).unwrap();
            assert_eq!(unfinished(&home).unwrap().unwrap().done, [StepId(1)].into());
        }
    }

    #[test]
    fn a_whole_last_line_that_lacks_its_end_is_kept() {
        let (_dir, home) = home();
        let mut journal = begin(&home, "2026-01-02T03:04:05Z", 2);
        journal.append(&started(1)).unwrap();
        let path = path(&home, &journal);
        let bytes = fs::read(&path).unwrap();
        put(&path, &bytes[..bytes.len() - 1]);
        Journal::open(&home, journal.id()).unwrap().append(&started(2)).unwrap();
        assert_eq!(unfinished(&home).unwrap().unwrap().started, [StepId(1), StepId(2)].into());
    }

    #[test]
    fn lines_that_crashes_tore_before_a_run_went_on_are_passed_over_and_rubbish_is_refused_by_file_and_line() {
        for (middle, torn) in [
            ("{\"record\":\"step_do", true),
            ("{\"record\":\"run_ended\",\"outcome\":{}", true),
            ("\0\0\0", true),
            ("{\"record\":\"step_do\0\0", true),
            ("{\"record\":\"unknown\"}", false),
            ("rubbish", false),
            ("}", false),
        ] {
            let (_dir, home) = home();
            let mut journal = begin(&home, "2026-01-02T03:04:05Z", 2);
            let path = path(&home, &journal);
            let whole = fs::read_to_string(&path).unwrap();
            put(&path, format!("{whole}{middle}\n").as_bytes());
            journal.append(&started(1)).unwrap();
            match read_runs(&home) {
                Ok(runs) => assert!(torn && runs[0].started == [StepId(1)].into(), "{middle}"),
                Err(fault) => {
                    assert!(!torn && fault.message.contains(".jsonl:2:"), "{middle}: {}", fault.message);
                    assert!(fault.hint.unwrap().contains(".damaged && xr doctor"));
                }
            }
        }
    }

    #[test]
    fn the_newest_run_is_the_last_that_began_whatever_the_clock_says() {
        let (_dir, home) = home();
        for (generation, at) in [(2, "2026-06-02T03:04:05Z"), (3, "2025-06-02T03:04:05Z"), (4, "2025-01-02T03:04:05Z")]
        {
            begin(&home, at, generation);
            assert_eq!(unfinished(&home).unwrap().unwrap().plan.generation, generation);
        }
        // One of before runs were numbered.
        let old = home.journals().join("20990102T030405Z-update-7.jsonl");
        fs::copy(path(&home, &begin(&home, "2024-01-02T03:04:05Z", 5)), old).unwrap();
        let order: Vec<u32> = read_runs(&home).unwrap().iter().map(|run| run.plan.generation).collect();
        assert_eq!(order, [5, 2, 3, 4, 5]);
    }

    #[test]
    fn a_run_that_never_began_hides_no_other() {
        let (_dir, home) = home();
        begin(&home, "2026-01-02T03:04:05Z", 2);
        for (name, text) in [("000002-x-update.jsonl", ""), ("000003-x-update.jsonl", "{\"record\":\"run_sta")] {
            put(&home.journals().join(name), text.as_bytes());
            assert_eq!(unfinished(&home).unwrap().unwrap().plan.generation, 2, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_understood_is_named_with_what_to_do() {
        let newer = "{\"record\":\"run_started\",\"format\":9,\"xr\":\"8.0.0\",\"plan\":\"of another shape\"}\n";
        let lost = "{\"record\":\"step_started\",\"step\":1}\n";
        for (text, says, hint) in [
            (newer.to_owned(), "was written by a newer xr 8.0.0: it has format 9", "xr --version"),
            (format!("{newer}{lost}"), "was written by a newer xr 8.0.0", "xr --version"),
            (format!("{{\"record\":\"run_sta\n{lost}"), ":1: the beginning of this journal is lost", ".damaged"),
            (lost.to_owned(), ":1: the beginning of this journal is lost", ".damaged"),
        ] {
            let (_dir, home) = home();
            put(&home.journals().join("000001-x-update.jsonl"), text.as_bytes());
            for fault in [unfinished(&home).unwrap_err(), read_runs(&home).unwrap_err()] {
                assert!(fault.message.contains("000001-x-update.jsonl"), "{}", fault.message);
                assert!(fault.message.contains(says), "{text}: {}", fault.message);
                assert!(fault.hint.unwrap().contains(hint), "{text}");
            }
        }
        let (_dir, home) = home();
        fs::create_dir(home.journals().join("000001-x-update.jsonl")).unwrap();
        assert!(unfinished(&home).unwrap_err().hint.unwrap().contains("ls -l "));
    }
}
