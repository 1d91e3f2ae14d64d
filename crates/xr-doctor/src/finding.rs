//! What the doctor says.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use xr_model::{ImageRef, Redactor, Version};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not work, or will not at the next restart, update or rollback.
    Problem,
    /// It works, but an admin wants to know.
    Warning,
    /// As it should be; with a command: advice.
    Info,
}

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check, e.g. `container.state`.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a container, a file and line, an image.
    pub subject: String,
    /// What was seen. Never a value of `.env`.
    pub evidence: String,
    /// The last words of a container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// A command that mends it.
    pub command: Option<String>,
    /// What `xr doctor --fix` would do.
    #[serde(serialize_with = "in_words")]
    pub fix: Option<Fix>,
}

impl Finding {
    fn new(check: &'static str, severity: Severity, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            subject: subject.into(),
            evidence: evidence.into(),
            log: Vec::new(),
            command: None,
            fix: None,
        }
    }

    pub(crate) fn problem(check: &'static str, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(check, Severity::Problem, subject, evidence)
    }

    pub(crate) fn warning(check: &'static str, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, subject, evidence)
    }

    pub(crate) fn info(check: &'static str, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(check, Severity::Info, subject, evidence)
    }

    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.command = hint.or(self.command);
        self
    }

    pub(crate) fn log(mut self, lines: &[String]) -> Self {
        self.log = lines.to_vec();
        self
    }

    pub(crate) fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// Strikes out secrets: what compose, a container or a registry said may hold one.
    pub(crate) fn strike_out(&mut self, secrets: &Redactor) {
        let texts = [&mut self.subject, &mut self.evidence].into_iter().chain(&mut self.log).chain(&mut self.command);
        for text in texts {
            *text = secrets.text(text);
        }
    }

    /// The word for its severity; advice is told from what is simply fine.
    pub fn word(&self) -> &'static str {
        match (self.severity, &self.command) {
            (Severity::Problem, _) => "problem",
            (Severity::Warning, _) => "warning",
            (Severity::Info, Some(_)) => "note",
            (Severity::Info, None) => "ok",
        }
    }
}

/// A repair that loses nothing and that anybody would make.
#[derive(Clone, Debug, PartialEq)]
pub enum Fix {
    /// End a run that was killed, forward or back.
    Recover,
    /// Set a file's or folder's mode.
    Mode {
        /// Where.
        path: PathBuf,
        /// The mode.
        mode: u32,
    },
    /// Give files back to the owner of the stack.
    Owner {
        /// Which.
        paths: Vec<PathBuf>,
        /// To this user.
        uid: u32,
        /// And group.
        gid: u32,
    },
    /// Keep only the last assignment of a key, which is the one that compose reads.
    Duplicate {
        /// The key.
        key: String,
    },
    /// Respell something in `.env` without changing what compose reads.
    Respell {
        /// Where, for the report.
        at: String,
        /// How.
        how: xr_env_writer::Fix,
    },
    /// Set the version's key in `.env`.
    VersionKey {
        /// The key.
        key: String,
        /// What the containers run.
        version: Version,
    },
    /// Write VERSION.
    VersionFile {
        /// What the containers run.
        version: Version,
    },
    /// Make a tag mean the pinned image again.
    Retag {
        /// The engine's id of the image.
        image: String,
        /// The tag.
        reference: ImageRef,
    },
    /// Remove a container that an interrupted run left.
    RemoveContainer {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Start a stopped container of the current generation.
    StartContainer {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
}

impl Fix {
    /// What it does, in words.
    pub fn title(&self) -> String {
        match self {
            Self::Recover => "finish the run that was interrupted".to_owned(),
            Self::Mode { path, mode } => format!("chmod {mode:04o} {}", path.display()),
            Self::Owner { paths, uid, gid } => format!("give {} file(s) back to {uid}:{gid}", paths.len()),
            Self::Duplicate { key } => format!(".env: keep only the last {key}"),
            Self::Respell { at, .. } => format!("respell {at}, meaning the same"),
            Self::VersionKey { key, version } => format!(".env: {key}={version}"),
            Self::VersionFile { version } => format!("write {version} into VERSION"),
            Self::Retag { reference, image } => format!("tag {} as {reference}", crate::facts::short(image)),
            Self::RemoveContainer { name, .. } => format!("remove the leftover container {name}"),
            Self::StartContainer { name, .. } => format!("start container {name}"),
        }
    }
}

fn in_words<S: Serializer>(fix: &Option<Fix>, serializer: S) -> Result<S::Ok, S::Error> {
    fix.as_ref().map(Fix::title).serialize(serializer)
}
