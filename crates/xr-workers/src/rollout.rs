//! What the steps of one run share about the workers.

use std::{cell::RefCell, collections::BTreeMap};

use xr_model::{DesiredFleet, Fault, Result};
use xr_session::Session;

use crate::{Target, ledger};

/// What became of a worker that was switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SwitchResult {
    /// The new agent is up.
    Up,
    /// The old one serves again, and why, with the end of the new one's log.
    Back(String, Vec<String>),
    /// It does not answer any more.
    Lost(String),
}

/// The switch of the workers in one run: what they shall have, and what became of each so far.
pub struct Rollout<'a, 'w> {
    pub(crate) session: &'a Session<'w>,
    target: Option<&'a Target>,
    pub(crate) wanted: Option<&'a DesiredFleet>,
    /// How many workers take part.
    pub(crate) taking_part: usize,
    pub(crate) results: RefCell<BTreeMap<String, SwitchResult>>,
}

impl<'a, 'w> Rollout<'a, 'w> {
    /// Of a run in which `taking_part` workers shall get `target`.
    pub fn new(
        session: &'a Session<'w>,
        target: Option<&'a Target>,
        wanted: Option<&'a DesiredFleet>,
        taking_part: usize,
    ) -> Self {
        Self { session, target, wanted, taking_part, results: RefCell::default() }
    }

    /// What the workers shall have.
    pub(crate) fn target(&self) -> Result<&'a Target> {
        self.target.ok_or_else(|| Fault::new("nothing was prepared for workers"))
    }

    /// Notes in the ledger what became of each worker that was switched to `version`.
    pub fn remember(&self, version: &str) {
        ledger::remember(self.session, &self.results.borrow(), version);
    }
}
