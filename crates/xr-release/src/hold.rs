//! What an admin has gone back from: no update takes it again by itself.

use xr_journal::read_runs;
use xr_model::{Result, RunKind, Verdict, Version};
use xr_session::Session;

/// A release that is not taken again until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    version: Version,
    /// The day of the rollback (RFC 3339, UTC).
    day: String,
}

impl Held {
    /// In words, with the way out.
    pub fn told(&self) -> String {
        let Self { version, day, .. } = self;
        format!(
            "{version} was rolled back on {day} and is not taken again by itself (xr update --to {version} takes it)"
        )
    }
}

/// What holds this release back: it was gone back from, and no update or install has changed anything since. A branch that
/// has moved is another release, though its version is the same.
///
/// # Errors
/// When a journal cannot be read.
pub fn held(session: &Session<'_>, version: &Version, commit: &str) -> Result<Option<Held>> {
    let runs = read_runs(&session.home)?;
    let changed =
        runs.iter().rev().filter(|run| run.outcome.as_ref().is_some_and(|end| end.verdict == Verdict::Changed));
    let moves = changed.filter(|run| !matches!(run.plan.kind, RunKind::Start | RunKind::Restart));
    for run in moves.take_while(|run| run.plan.kind == RunKind::Rollback) {
        let Some(from) = &run.plan.from_version else { continue };
        // A generation that is no longer kept tells nothing of its commit.
        let left = run.plan.from.and_then(|number| session.generations.read(number).ok());
        let commit_left = left.and_then(|generation| generation.commit);
        if from == version && commit_left.as_ref().is_none_or(|left| left == commit) {
            let day = run.at.get(..10).unwrap_or(&run.at).to_owned();
            return Ok(Some(Held { version: from.clone(), day }));
        }
    }
    Ok(None)
}
