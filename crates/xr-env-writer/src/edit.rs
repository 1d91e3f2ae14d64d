//! Changes of one variable. Each is tried on a copy, read back with compose's grammar, and only then made.

use std::ops::Range;

use crate::entry::{Quoting, Statement};
use crate::interpolate::references;
use crate::spell::spellings;
use crate::{EditError, EnvFile};

impl EnvFile {
    /// Makes compose read `value` for `key`, and touches nothing else: the prefix, the spacing, a comment behind the
    /// value and the line ending stay. Of several assignments the last one is changed. An absent key is appended.
    /// A key that already has this literal value is left as it is spelled.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        if self.reads_literally(key, value) {
            return Ok(());
        }
        if !self.contains(key) && !is_name(key) {
            return Err(EditError::BadKey { key: key.to_owned() });
        }
        let fits = |candidate: &Self| candidate.reads_literally(key, value);
        match spellings(value).iter().find_map(|spelling| self.with_raw(key, spelling).filter(fits)) {
            Some(changed) => {
                *self = changed;
                Ok(())
            }
            None => Err(EditError::Unrepresentable { key: key.to_owned() }),
        }
    }

    /// Removes every assignment of `key` with its line; two statements on one line lose only their own part.
    /// Comments above stay. Returns how many assignments there were.
    pub fn remove(&mut self, key: &str) -> Result<usize, EditError> {
        let doomed: Vec<_> =
            (0..self.statements.len()).filter(|at| self.key_of(&self.statements[*at]) == key).collect();
        let rest = self.without(&doomed).ok_or_else(|| self.breaks(key, &doomed))?;
        *self = rest;
        Ok(doomed.len())
    }

    /// Removes all assignments of `key` but the one that counts. Refused if another variable refers to one of them and
    /// would read differently. Returns how many were removed.
    pub fn collapse_duplicates(&mut self, key: &str) -> Result<usize, EditError> {
        let kept = self.effective(key).ok_or_else(|| EditError::NoSuchKey { key: key.to_owned() })?.span.clone();
        let doomed: Vec<_> = (0..self.statements.len())
            .filter(|at| self.key_of(&self.statements[*at]) == key && self.statements[*at].span != kept)
            .collect();
        let rest = self.without(&doomed).ok_or_else(|| self.breaks(key, &doomed))?;
        if let Some(other) = self.keys().into_iter().find(|other| self.text_of(other) != rest.text_of(other)) {
            return Err(EditError::WouldChange { key: key.to_owned(), other: other.to_owned() });
        }
        *self = rest;
        Ok(doomed.len())
    }

    /// A copy in which `key` is spelled `raw`; `None` if that would disturb another statement.
    pub(crate) fn with_raw(&self, key: &str, raw: &str) -> Option<Self> {
        let mut text = self.text.clone();
        let target = self.effective(key);
        let index = match target {
            Some(statement) => {
                let (place, new) = self.place(statement, raw);
                text.replace_range(place, &new);
                self.statements.iter().position(|other| other == statement)?
            }
            None => {
                let eol = self.line_ending();
                if !text.is_empty() && !text.ends_with('\n') && text != crate::scan::BOM {
                    text.push_str(eol);
                }
                text.push_str(&format!("{key}={raw}{eol}"));
                self.statements.len()
            }
        };
        let changed = Self::from_text(text).ok()?;
        let other = |at| at != index;
        (self.shape(other) == changed.shape(other) && changed.statements.len() == self.statements.len().max(index + 1))
            .then_some(changed)
    }

    /// Where a new spelling goes, and the bytes to put there.
    fn place(&self, statement: &Statement, raw: &str) -> (Range<usize>, String) {
        let value = &statement.value;
        // `KEY=   # comment`: compose takes the comment for the value, whoever wrote it did not. It stays a comment.
        let comment = statement.quoting == Quoting::Unquoted
            && self.text[value.clone()].starts_with('#')
            && value.start > statement.separator_end;
        match statement.quoting {
            Quoting::Bare => (value.clone(), format!("={raw}")),
            _ if comment => (statement.separator_end..statement.separator_end, raw.to_owned()),
            _ => (value.clone(), raw.to_owned()),
        }
    }

    fn without(&self, doomed: &[usize]) -> Option<Self> {
        let mut text = self.text.clone();
        for at in doomed.iter().rev() {
            let statement = &self.statements[*at];
            let range = if self.shares_line(statement) {
                let end = statement.span.end;
                let space = self.text[end..].find(|c: char| !matches!(c, ' ' | '\t')).unwrap_or(0);
                statement.span.start..end + space
            } else {
                self.lines_of(statement)
            };
            text.replace_range(range, "");
        }
        let rest = Self::from_text(text).ok()?;
        (self.shape(|at| !doomed.contains(&at)) == rest.shape(|_| true)).then_some(rest)
    }

    fn breaks(&self, key: &str, doomed: &[usize]) -> EditError {
        let neighbour = doomed.last().and_then(|at| self.statements.get(at + 1)).map(|other| self.key_of(other));
        EditError::WouldChange { key: key.to_owned(), other: neighbour.unwrap_or("another line").to_owned() }
    }

    /// What must not change when another statement does: name and spelling of each chosen statement.
    fn shape(&self, chosen: impl Fn(usize) -> bool) -> Vec<(&str, &str)> {
        let of = |s: &Statement| (s.key.clone(), s.value.clone());
        let chosen = self.statements.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, s)| of(s));
        chosen.map(|(key, value)| (&self.text[key], &self.text[value])).collect()
    }

    fn text_of(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| value.text)
    }

    /// Whether compose reads exactly `value`, whatever else is set: no reference is involved.
    fn reads_literally(&self, key: &str, value: &str) -> bool {
        let literal = self.effective(key).is_some_and(|statement| references(&statement.pattern).is_empty());
        literal && self.get(key).is_some_and(|read| read.problem.is_none() && read.text == value)
    }
}

fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> EnvFile {
        EnvFile::parse(text.as_bytes()).unwrap()
    }

    fn text(file: &EnvFile) -> String {
        String::from_utf8(file.to_bytes()).unwrap()
    }

    #[test]
    fn set_changes_the_value_and_no_other_byte() {
        for (before, value, after) in [
            ("K=a\n", "b", "K=b\n"),
            ("K=a", "b", "K=b"),
            ("\u{feff}  export K = a # why\r\nB=1\r\n", "b", "\u{feff}  export K = b # why\r\nB=1\r\n"),
            ("K=a # why\n", "b c", "K='b c' # why\n"),
            ("K=a # why\n", "", "K='' # why\n"),
            ("K=   # why\n", "v", "K=v   # why\n"),
            ("K=   # why\n", "", "K=''   # why\n"),
            ("K=#x\n", "v", "K=v\n"),
            ("K=  \r\n", "v", "K=v  \r\n"),
            ("K=\n#c\n", "v", "K=v\n#c\n"),
            ("K=1\nK=2\nA=3\n", "9", "K=1\nK=9\nA=3\n"),
            ("K\nA=1\n", "v", "K=v\nA=1\n"),
            ("K=\"two\nlines\" # c\nA=1\n", "one", "K=one # c\nA=1\n"),
            ("K=\"q\" B=2\n", "v", "K='v' B=2\n"),
            ("K: a\n", "b", "K: b\n"),
            ("K=$A\nA=1\n", "p$w", "K='p$w'\nA=1\n"),
            ("K='same' # c\n", "same", "K='same' # c\n"),
        ] {
            let mut file = file(before);
            file.set("K", value).unwrap();
            assert_eq!(text(&file), after, "{before:?} <- {value:?}");
        }
    }

    #[test]
    fn set_appends_an_absent_key_on_a_line_of_its_own_in_the_files_style() {
        for (before, after) in [
            ("", "K=v\n"),
            ("A=1", "A=1\nK=v\n"),
            ("A=1\r\nB=2", "A=1\r\nB=2\r\nK=v\r\n"),
            ("A=1\n# end", "A=1\n# end\nK=v\n"),
            ("\u{feff}", "\u{feff}K=v\n"),
            ("KEY", "KEY\nK=v\n"),
        ] {
            let mut file = file(before);
            file.set("K", "v").unwrap();
            assert_eq!(text(&file), after, "{before:?}");
        }
    }

    #[test]
    fn a_value_or_name_that_cannot_be_written_changes_nothing() {
        let mut file = file("K=a\n");
        assert_eq!(file.set("K", "a\0b"), Err(EditError::Unrepresentable { key: "K".into() }));
        assert_eq!(file.set("9 x", "1"), Err(EditError::BadKey { key: "9 x".into() }));
        assert_eq!(text(&file), "K=a\n");
    }

    #[test]
    fn remove_takes_every_assignment_with_its_line_and_no_comment() {
        for (before, count, after) in [
            ("# c\nK=1 # x\nA=1\nK=2", 2, "# c\nA=1\n"),
            ("K=\"a\nb\"\r\nA=1\r\n", 1, "A=1\r\n"),
            ("\u{feff}K=1\nA=1\n", 1, "\u{feff}A=1\n"),
            ("K='1' A=1\n", 1, "A=1\n"),
            ("A=1\n", 0, "A=1\n"),
        ] {
            let mut file = file(before);
            assert_eq!(file.remove("K"), Ok(count), "{before:?}");
            assert_eq!(text(&file), after, "{before:?}");
        }
    }

    #[test]
    fn collapse_keeps_the_assignment_that_counts_and_refuses_to_change_a_reference() {
        let mut plain = file("K=1\nA=2\nK=3 # last\n");
        assert_eq!(plain.collapse_duplicates("K"), Ok(1));
        assert_eq!(text(&plain), "A=2\nK=3 # last\n");
        let mut referred = file("K=1\nA=$K\nK=3\n");
        let expect = EditError::WouldChange { key: "K".into(), other: "A".into() };
        assert_eq!(referred.collapse_duplicates("K"), Err(expect));
    }
}
