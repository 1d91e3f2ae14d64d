//! Repairs of what [`pitfalls`](crate::EnvFile::pitfalls) finds.

use crate::scan::BOM;
use crate::{EditError, EnvFile, Secret};

/// A repair that [`EnvFile::apply`] can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Write the value so that all readers agree on it.
    SetValue {
        /// The variable.
        key: String,
        /// What it shall read as.
        value: Secret,
    },
    /// Drop the byte order mark.
    RemoveBom,
    /// End every line with `\n` alone. Line breaks inside quoted values change too.
    UnixLineEndings,
    /// End the last line.
    AddFinalNewline,
}

impl EnvFile {
    /// Makes a repair. Making it again changes nothing.
    pub fn apply(&mut self, fix: &Fix) -> Result<(), EditError> {
        let text = match fix {
            Fix::SetValue { key, value } => return self.respell(key, value.expose()),
            Fix::RemoveBom => self.text.trim_start_matches(BOM).to_owned(),
            Fix::UnixLineEndings => self.text.replace("\r\n", "\n"),
            Fix::AddFinalNewline if self.text.is_empty() || self.text.ends_with('\n') => return Ok(()),
            Fix::AddFinalNewline => format!("{}{}", self.text, self.line_ending()),
        };
        // None of these can make a parsed file unreadable.
        if let Ok(repaired) = Self::from_text(text) {
            *self = repaired;
        }
        Ok(())
    }

    /// Like `set`, but spells the value anew even if compose already reads it.
    fn respell(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        let mut other = value.to_owned();
        other.push('.');
        let mut changed = self.clone();
        changed.set(key, &other)?;
        changed.set(key, value)?;
        *self = changed;
        Ok(())
    }
}
