//! The journal's records, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::{Outcome, Plan, StepId};

/// The journal's format; a newer one is refused.
pub const JOURNAL_FORMAT: u32 = 1;

/// One line of a run's journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
#[allow(clippy::large_enum_variant)]
pub enum Record {
    /// The first line: everything needed to finish or undo the run.
    RunStarted {
        /// [`JOURNAL_FORMAT`].
        format: u32,
        /// When (RFC 3339, UTC).
        at: String,
        /// xr's version.
        xr: String,
        /// What will be done.
        plan: Plan,
    },
    /// A step is about to act.
    StepStarted {
        /// Which.
        step: StepId,
    },
    /// A step acted and checked its effect.
    StepDone {
        /// Which.
        step: StepId,
        /// Milliseconds.
        ms: u64,
        /// Why it had nothing to do, where it had not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skipped: Option<String>,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: StepId,
        /// Why, secrets redacted.
        error: String,
    },
    /// The undo begins.
    UnwindStarted {
        /// Why.
        cause: String,
    },
    /// A step was undone.
    StepUndone {
        /// Which.
        step: StepId,
    },
    /// The last line.
    RunEnded {
        /// When (RFC 3339, UTC).
        at: String,
        /// How.
        outcome: Outcome,
    },
}
