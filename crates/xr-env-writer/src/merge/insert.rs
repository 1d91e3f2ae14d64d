//! Puts a variable of the template where the template has it, with its comment.

use crate::{EditError, EnvFile};

/// A copy of `file` with `key` as `template` has it: behind the nearest variable that precedes it there and is in the
/// file, else at the end.
pub(super) fn with_key_of_template(file: &EnvFile, template: &EnvFile, key: &str) -> Result<EnvFile, EditError> {
    let block = Block::of(template, key).ok_or_else(|| EditError::NoSuchKey { key: key.to_owned() })?;
    let (mut lines, comment) = (block.with_comment(file), block.comment.lines().collect::<Vec<_>>());
    let mut text = file.text.clone();
    let mut at = place(file, template, key);
    if let Some(after) = after_same_comment(&text[at..], &comment) {
        at += after;
        lines = block.in_style_of(file, &block.lines);
    }
    let eol = file.line_ending();
    if at == text.len() && !text.is_empty() && !text.ends_with('\n') {
        text.push_str(eol);
        at = text.len();
    }
    text.insert_str(at, &lines);
    let broken = || EditError::WouldChange { key: key.to_owned(), other: "another line".to_owned() };
    let merged = EnvFile::from_text(text).map_err(|_| broken())?;
    let same =
        |other: &EnvFile| template.effective(key).map(|s| &s.pattern) == other.effective(key).map(|s| &s.pattern);
    let others = file.statements.len() + 1 == merged.statements.len();
    if same(&merged) && others { Ok(merged) } else { Err(broken()) }
}

fn place(file: &EnvFile, template: &EnvFile, key: &str) -> usize {
    let keys = template.keys();
    let index = keys.iter().position(|other| *other == key).unwrap_or(0);
    let before = keys[..index].iter().rev().find_map(|other| file.effective(other));
    before.map_or(file.text.len(), |statement| file.boundary_after(statement))
}

/// The admin's file may already have the comment, standing above the next variable of its section.
fn after_same_comment(rest: &str, comment: &[&str]) -> Option<usize> {
    if comment.is_empty() {
        return None;
    }
    let mut wanted = comment.iter();
    let mut next = wanted.next();
    let mut used = 0;
    for line in rest.split_inclusive('\n') {
        let text = line.trim();
        let Some(expect) = next else { break };
        if text == expect.trim() {
            next = wanted.next();
        } else if !text.is_empty() || next != comment.first() {
            return None;
        }
        used += line.len();
    }
    (next.is_none() && rest[..used].ends_with('\n')).then_some(used)
}

/// The lines of one variable in the template.
struct Block {
    blank_above: bool,
    comment: String,
    lines: String,
}

impl Block {
    fn of(template: &EnvFile, key: &str) -> Option<Self> {
        let statement = template.effective(key)?;
        let (comment, blank_above) = template.comment_above(statement);
        // On a line with other statements only its own part is taken.
        let lines = if template.shares_line(statement) { statement.span.clone() } else { template.lines_of(statement) };
        let text = |range: std::ops::Range<usize>| template.text[range].to_owned();
        let blank_above = blank_above && !comment.is_empty();
        Some(Self { blank_above, comment: text(comment), lines: text(lines) })
    }

    fn with_comment(&self, file: &EnvFile) -> String {
        let blank = if self.blank_above && !file.text.is_empty() { "\n" } else { "" };
        self.in_style_of(file, &format!("{blank}{}{}", self.comment, self.lines))
    }

    /// With the line endings of the file; the last line gets one too.
    fn in_style_of(&self, file: &EnvFile, lines: &str) -> String {
        let mut lines = lines.replace("\r\n", "\n");
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        lines.replace('\n', file.line_ending())
    }
}
