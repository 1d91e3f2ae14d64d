//! What is remembered of each worker between two commands, `.xr/fleet.json`: when it was seen, what went wrong, when it is tried
//! again.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xr_journal::{Home, Ownership, write_atomic};
use xr_model::{Fault, Level, Result};
use xr_session::Session;

use crate::rollout::SwitchResult;

/// The file's format.
const FORMAT: u32 = 1;
/// So many failures in a row, and a worker is left alone until an admin says otherwise.
const GIVEN_UP: u32 = 6;
/// After the first failure; it doubles with each.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// What is remembered of all workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    format: u32,
    /// By name.
    pub workers: BTreeMap<String, Standing>,
}

/// What is remembered of one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// When it last answered (RFC 3339, UTC).
    pub seen_at: String,
    /// The version that it had then.
    pub version: String,
    /// How often in a row it could not be brought up to date.
    pub failures: u32,
    /// Not to be tried by itself before this (RFC 3339, UTC).
    pub not_before: String,
    /// What went wrong last.
    pub error: String,
}

impl Standing {
    /// Whether it is left alone: for now, or until somebody asks for it by name.
    pub fn rests(&self) -> Option<String> {
        if self.failures >= GIVEN_UP {
            return Some(format!("given up after {} tries", self.failures));
        }
        let until: Timestamp = self.not_before.parse().ok()?;
        (until > Timestamp::now()).then(|| format!("not tried again before {}", self.not_before))
    }

    /// It has what it shall have.
    pub fn succeeded(&mut self, version: &str) {
        *self = Self { seen_at: xr_session::now(), version: version.to_owned(), ..Self::default() };
    }

    /// It could not be brought up to date.
    pub fn failed(&mut self, error: &str) {
        let pause = FIRST_PAUSE * 2_i32.pow(self.failures.min(8));
        self.failures += 1;
        self.error = error.to_owned();
        self.not_before = Timestamp::now().checked_add(pause).map(|at| at.to_string()).unwrap_or_default();
    }
}

impl Ledger {
    /// Reads it. One that cannot be read is begun anew: nothing in it decides what is right.
    pub fn read(session: &Session<'_>) -> Self {
        Self::at(&session.home)
    }

    /// The same, of a stack that is only asked what is written down.
    pub fn at(home: &Home) -> Self {
        let text = std::fs::read_to_string(path(home)).unwrap_or_default();
        serde_json::from_str(&text).ok().filter(|ledger: &Self| ledger.format <= FORMAT).unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, session: &Session<'_>) -> Result<()> {
        self.format = FORMAT;
        self.workers.retain(|name, _| session.find_worker(name).is_some());
        let text =
            serde_json::to_vec_pretty(self).map_err(Fault::at("cannot write what is remembered of the workers"))?;
        write_atomic(&path(&session.home), &text, 0o600, Ownership::Keep)
    }

    /// What is remembered of one.
    pub fn of(&mut self, worker: &str) -> &mut Standing {
        self.workers.entry(worker.to_owned()).or_default()
    }
}

/// Writes down how the workers came out of a run that has succeeded.
pub(crate) fn remember(session: &Session<'_>, results: &BTreeMap<String, SwitchResult>, version: &str) {
    if results.is_empty() {
        return;
    }
    let mut ledger = Ledger::read(session);
    for (worker, result) in results {
        match result {
            SwitchResult::Up => ledger.of(worker).succeeded(version),
            SwitchResult::Back(why, _) => ledger.of(worker).failed(&session.without_secrets_text(why)),
            SwitchResult::Lost(why) => ledger.of(worker).error = session.without_secrets_text(why),
        }
    }
    // It decides nothing: what it does not say is asked again.
    if let Err(fault) = ledger.write(session) {
        session.say(Level::Warning, fault.chain());
    }
}

fn path(home: &Home) -> PathBuf {
    home.path().join("fleet.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_fails_rests_longer_each_time_and_is_given_up_in_the_end() {
        let mut standing = Standing::default();
        assert_eq!(standing.rests(), None);
        let mut before = Timestamp::now();
        for _ in 1..GIVEN_UP {
            standing.failed("it does not answer");
            let until: Timestamp = standing.not_before.parse().unwrap();
            assert!(until > before && standing.rests().unwrap().starts_with("not tried again before"));
            before = until;
        }
        standing.failed("it does not answer");
        assert!(standing.rests().unwrap().starts_with("given up"));
        standing.succeeded("v1.0.0");
        assert_eq!((standing.rests(), standing.failures, standing.error.as_str()), (None, 0, ""));
    }
}
