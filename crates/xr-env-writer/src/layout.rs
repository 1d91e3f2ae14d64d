//! Where lines begin and end, and which statements stand on them.

use std::ops::Range;

use crate::EnvFile;
use crate::entry::Statement;
use crate::scan::BOM;

impl EnvFile {
    /// The line ending most lines of the file have.
    pub(crate) fn line_ending(&self) -> &'static str {
        let all = self.text.matches('\n').count();
        let crlf = self.text.matches("\r\n").count();
        if crlf * 2 > all { "\r\n" } else { "\n" }
    }

    /// Start of the line that holds `at`, after a byte order mark.
    pub(crate) fn line_start(&self, at: usize) -> usize {
        match self.text[..at].rfind('\n') {
            Some(newline) => newline + 1,
            None if self.has_bom() => BOM.len(),
            None => 0,
        }
    }

    /// Start of the line after the one that holds `at`, or the end of the file.
    pub(crate) fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// The whole lines that a statement stands on.
    pub(crate) fn lines_of(&self, statement: &Statement) -> Range<usize> {
        self.line_start(statement.span.start)..self.line_end(statement.span.end)
    }

    /// Whether another statement stands on one of its lines, as in `A="1" B=2`.
    pub(crate) fn shares_line(&self, statement: &Statement) -> bool {
        let lines = self.lines_of(statement);
        self.statements
            .iter()
            .any(|other| other.span != statement.span && other.span.start < lines.end && other.span.end > lines.start)
    }

    /// The first line boundary at or after the end of the statement that is inside no other statement.
    pub(crate) fn boundary_after(&self, statement: &Statement) -> usize {
        let mut at = self.line_end(statement.span.end);
        while let Some(across) = self.statements.iter().find(|other| other.span.start < at && other.span.end > at) {
            at = self.line_end(across.span.end);
        }
        at
    }

    /// The comment lines directly above a statement, and whether a blank line stands above those.
    pub(crate) fn comment_above(&self, statement: &Statement) -> (Range<usize>, bool) {
        let end = self.line_start(statement.span.start);
        let first = if self.has_bom() { BOM.len() } else { 0 };
        let inside = |at: usize| self.statements.iter().any(|other| other.span.start < at && other.span.end > at);
        let mut start = end;
        while start > first {
            let above = self.line_start(start - 1);
            let line = self.text[above..start].trim();
            if inside(above) || inside(start) || !line.starts_with('#') {
                return (start..end, line.is_empty());
            }
            start = above;
        }
        (start..end, false)
    }
}
