//! One thing that was looked at, and how it was found.

use serde::Serialize;

/// How a [`Check`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// It will work, but an admin wants to know.
    Warning,
    /// It will not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `memory`, `disk /opt/xingrin`.
    pub name: String,
    /// How it came out.
    pub grade: Grade,
    /// What was seen, with its number.
    pub evidence: String,
    /// A command, or one sentence, that mends it.
    pub hint: Option<String>,
}

impl Check {
    pub(crate) fn good(name: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { name: name.into(), grade: Grade::Good, evidence: evidence.into(), hint: None }
    }

    pub(crate) fn warning(name: impl Into<String>, evidence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), grade: Grade::Warning, evidence: evidence.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn problem(name: impl Into<String>, evidence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), grade: Grade::Problem, evidence: evidence.into(), hint: Some(hint.into()) }
    }
}

/// Bytes as an admin reads them: `512 MiB`, `3.8 GiB`.
pub(crate) fn human(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    if bytes >= GIB { format!("{:.1} GiB", bytes as f64 / GIB as f64) } else { format!("{} MiB", bytes / MIB) }
}
