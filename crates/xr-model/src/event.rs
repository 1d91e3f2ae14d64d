//! What a run tells while it works, and how a run ends. One stream, many sinks.

use serde::{Deserialize, Serialize};

use crate::{RunKind, Version};

/// The event stream's format, named in its first event.
pub const EVENT_FORMAT: u32 = 1;

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth a line when something is done.
    Info,
    /// Worth a line always.
    Warning,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// Always first.
    Start {
        /// [`EVENT_FORMAT`].
        format: u32,
        /// xr's version.
        xr: String,
        /// Which command.
        command: String,
    },
    /// A phase before the plan: `resolve`, `fetch`, `observe`.
    Phase {
        /// Its name.
        name: String,
    },
    /// A step began.
    StepStarted {
        /// Its number, unique within the run.
        step: u32,
        /// Of how many.
        of: u32,
        /// What it does.
        title: String,
    },
    /// Bytes of a step: one line for each layer, so that a reader can show each.
    Progress {
        /// The step.
        step: u32,
        /// The layer's short id.
        layer: String,
        /// `downloading`, `extracting`, …
        status: String,
        /// Bytes done.
        current: u64,
        /// Bytes in all, 0 when not known.
        total: u64,
    },
    /// A step ended well.
    StepDone {
        /// The step.
        step: u32,
        /// What it did.
        title: String,
        /// Milliseconds.
        ms: u64,
    },
    /// A step had nothing to do here.
    StepSkipped {
        /// The step.
        step: u32,
        /// What it would have done.
        title: String,
        /// Why.
        why: String,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        step: u32,
        /// What it should have done.
        title: String,
        /// Why.
        error: String,
    },
    /// A message.
    Message {
        /// How loud.
        level: Level,
        /// The text.
        text: String,
    },
    /// Always last.
    End {
        /// How it went.
        outcome: Box<Outcome>,
    },
}

/// The truth about a run's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Already so; nothing was done.
    Unchanged,
    /// The new version serves.
    Changed,
    /// Failed before anything that runs was touched.
    Failed,
    /// Failed; the old version serves, healthy.
    RolledBack,
    /// Neither is wholly there: needs a hand.
    Degraded,
    /// Stopped by a signal; the old version serves.
    Interrupted,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// Which command.
    pub command: RunKind,
    /// What served before.
    pub from: Option<Version>,
    /// What was wanted.
    pub to: Option<Version>,
    /// What serves now.
    pub serving: Option<Version>,
    /// The generation that serves now.
    pub generation: Option<u32>,
    /// What changed, a line each.
    pub changes: Vec<String>,
    /// Milliseconds.
    pub elapsed_ms: u64,
    /// Why it failed, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The failed service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The last lines of its log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What of the version that serves after an undo is not as it should be, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The command that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Whether the same run may succeed a little later: nothing changed because somebody did not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub try_later: bool,
}
