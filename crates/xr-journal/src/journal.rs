//! The append-only record of each run: fsynced line by line, a torn last line ignored.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use xr_model::{Fault, JOURNAL_FORMAT, Outcome, Plan, Record, Result, StepId};

use crate::{Home, atomic::open_append};

/// A run's journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    id: String,
}

impl Journal {
    /// Begins a run's journal. `at` is RFC 3339 UTC and names the file, so that names sort by time.
    ///
    /// # Errors
    /// When it cannot be written; nothing must be done then.
    pub fn begin(home: &Home, at: &str, plan: &Plan, xr: &str) -> Result<Self> {
        let stamp: String = at.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let id = format!("{stamp}-{}-{}", plan.kind.as_str(), std::process::id());
        let mut journal = Self::open(home, &id)?;
        journal.append(&Record::RunStarted {
            format: JOURNAL_FORMAT,
            at: at.to_owned(),
            xr: xr.to_owned(),
            plan: plan.clone(),
        })?;
        // The file's name must survive a power cut as well as its content.
        File::open(home.journals())
            .and_then(|dir| dir.sync_all())
            .map_err(Fault::at(format!("cannot sync {}", home.journals().display())))?;
        Ok(journal)
    }

    /// Opens a run's journal to go on with it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(home: &Home, id: &str) -> Result<Self> {
        let path = home.journals().join(format!("{id}.jsonl"));
        let mut file = open_append(&path).map_err(Fault::at(format!("cannot open {}", path.display())))?;
        // After a torn last line the next record must begin on a line of its own.
        if fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n')) {
            file.write_all(b"\n").map_err(Fault::at(format!("cannot write {}", path.display())))?;
        }
        Ok(Self { file, path, id: id.to_owned() })
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends one record and waits until it is on the disk.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let write = |file: &mut File| {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|error: std::io::Error| {
            Fault::new(format!("cannot write {}", self.path.display())).because(error).hint("df -h .")
        })
    }
}

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
    pub started: Vec<StepId>,
    /// Steps that were done.
    pub done: Vec<StepId>,
    /// Whether the way back had begun, and why.
    pub unwinding: Option<String>,
    /// How it ended; none when it did not.
    pub outcome: Option<Outcome>,
}

/// All runs, oldest first.
///
/// # Errors
/// When a journal cannot be read or was written by a newer xr.
pub fn read_runs(home: &Home) -> Result<Vec<PastRun>> {
    let Ok(entries) = fs::read_dir(home.journals()) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    paths.sort();
    let mut runs = Vec::with_capacity(paths.len());
    for path in &paths {
        runs.extend(read_run(path)?);
    }
    Ok(runs)
}

/// The newest run, when it did not end.
///
/// # Errors
/// As [`read_runs`].
pub fn unfinished(home: &Home) -> Result<Option<PastRun>> {
    let Ok(entries) = fs::read_dir(home.journals()) else { return Ok(None) };
    let newest =
        entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|e| e == "jsonl")).max();
    Ok(match newest {
        Some(path) => read_run(&path)?.filter(|run| run.outcome.is_none()),
        None => None,
    })
}

fn read_run(path: &Path) -> Result<Option<PastRun>> {
    let text = fs::read(path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
    let text = String::from_utf8_lossy(&text);
    let mut run: Option<PastRun> = None;
    let last = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        let record = match serde_json::from_str::<Record>(line) {
            Ok(record) => record,
            // A crash tears the last line of what was being written; recovery goes on behind it.
            Err(_) if index + 1 == last || !line.ends_with('}') => continue,
            Err(error) => {
                return Err(Fault::new(format!("{}:{}: not a journal record of this xr", path.display(), index + 1))
                    .because(error)
                    .hint(format!(
                        "written by a newer xr: use that one; damaged: mv {0} {0}.damaged && xr doctor",
                        xr_model::shell(&path)
                    )));
            }
        };
        match (record, run.as_mut()) {
            (Record::RunStarted { format, at, plan, .. }, _) => {
                if format > JOURNAL_FORMAT {
                    return Err(
                        Fault::new(format!("{} was written by a newer xr", path.display())).hint("install that xr")
                    );
                }
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                run = Some(PastRun { id, at, plan, started: vec![], done: vec![], unwinding: None, outcome: None });
            }
            (Record::StepStarted { step }, Some(run)) => run.started.push(step),
            (Record::StepDone { step, .. }, Some(run)) => run.done.push(step),
            (Record::UnwindStarted { cause }, Some(run)) => run.unwinding = Some(cause),
            (Record::RunEnded { outcome, .. }, Some(run)) => run.outcome = Some(outcome),
            (Record::StepUndone { .. } | Record::StepFailed { .. }, _) | (_, None) => {}
        }
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xr_model::{RunKind, Version};

    fn plan() -> Plan {
        let version: Version = "v1.0.0".parse().unwrap();
        Plan { kind: RunKind::Update, from: Some(1), from_version: None, generation: 2, version, stages: vec![] }
    }

    #[test]
    fn a_torn_last_line_is_ignored_and_the_run_counts_as_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        let mut journal = Journal::begin(&home, "2026-01-02T03:04:05Z", &plan(), "0.0.0").unwrap();
        journal.append(&Record::StepStarted { step: StepId(1) }).unwrap();
        journal.file.write_all(b"{\"record\":\"step_do").unwrap();
        let run = unfinished(&home).unwrap().unwrap();
        assert_eq!((run.started, run.done.len()), (vec![StepId(1)], 0));

        let mut again = Journal::open(&home, journal.id()).unwrap();
        again.append(&Record::StepDone { step: StepId(1), ms: 1 }).unwrap();
        assert_eq!(unfinished(&home).unwrap().unwrap().done, [StepId(1)]);
    }

    #[test]
    fn a_line_of_rubbish_in_the_middle_is_refused_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        let mut journal = Journal::begin(&home, "2026-01-02T03:04:05Z", &plan(), "0.0.0").unwrap();
        journal.file.write_all(b"{\"record\":\"unknown\"}\n").unwrap();
        journal.append(&Record::StepStarted { step: StepId(1) }).unwrap();
        let fault = read_runs(&home).unwrap_err();
        assert!(fault.message.contains(".jsonl:2:"), "{}", fault.message);
    }
}
