//! Records that an earlier xr has written are read by this one. Those in `fixtures/0.1.0` were written by the released 0.1.0: an
//! install, an update, and an update that was taken back.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test writes its own files, and fails when it cannot"
)]

use std::{fs, path::Path};

use xr_journal::{Generations, Home, read_runs, unfinished};
use xr_model::Verdict;

/// A stack with these records.
fn stack() -> tempfile::TempDir {
    let stack = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0"), &stack.path().join(".xr"));
    stack
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn runs_and_generations_of_0_1_0_are_read() {
    let stack = stack();
    let home = Home::of(stack.path());
    let runs: Vec<(String, Verdict)> = read_runs(&home)
        .unwrap()
        .into_iter()
        .map(|run| (format!("{} {}", run.plan.kind.as_str(), run.plan.version), run.outcome.unwrap().verdict))
        .collect();
    let expected = [
        ("install v1.0.0", Verdict::Changed),
        ("update v1.1.0", Verdict::Changed),
        ("update v1.2.0", Verdict::RolledBack),
    ];
    assert_eq!(runs, expected.map(|(what, verdict)| (what.to_owned(), verdict)));
    assert!(unfinished(&home).unwrap().is_none());

    let generations = Generations::of(&home);
    let numbers: Vec<u32> = generations.all().unwrap().iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2]);
    let current = generations.current().unwrap().unwrap();
    assert_eq!((current.number, current.version.as_str()), (2, "v1.1.0"));
    let services: Vec<(&str, bool)> = current.services.iter().map(|one| (one.name.as_str(), one.owns_data)).collect();
    assert_eq!(services, [("cache", false), ("db", true), ("web", false)]);
}

#[test]
fn a_run_of_0_1_0_that_was_killed_after_any_record_is_read_as_unfinished() {
    let stack = stack();
    let home = Home::of(stack.path());
    let journal = read_runs(&home).unwrap().pop().unwrap().id;
    let path = stack.path().join(".xr/journal").join(format!("{journal}.jsonl"));
    let whole = fs::read_to_string(&path).unwrap();
    let records: Vec<&str> = whole.lines().collect();
    for count in 1..records.len() {
        fs::write(&path, records[..count].join("\n") + "\n").unwrap();
        let past = unfinished(&home).unwrap().unwrap_or_else(|| panic!("ended after {count} records"));
        let kept = |kind: &str| records[..count].iter().filter(|record| record.contains(kind)).count();
        assert_eq!(past.id, journal);
        assert_eq!(past.started.len(), kept(r#""record":"step_started""#), "{count}");
        assert_eq!(past.done.len(), kept(r#""record":"step_done""#), "{count}");
        assert_eq!(past.unwinding.is_some(), kept("unwind") > 0, "{count}");
        assert!(past.plan.steps().count() > past.started.len());
    }
}
