//! Pitfalls of the dialect: lines that mean something else than they seem to, or something else to another reader.

use crate::entry::{Entry, Quoting, Statement};
use crate::interpolate::references;
use crate::{EnvFile, Fix, InterpolationError, Secret};

/// A line that deserves a look. Its message never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pitfall {
    /// The line, from 1.
    pub line: usize,
    /// The variable, unless it is about the whole file.
    pub key: Option<String>,
    /// What kind of pitfall it is.
    pub kind: PitfallKind,
    /// One plain sentence for the admin.
    pub message: String,
    /// A repair that [`EnvFile::apply`] can make, where there is an obvious one.
    pub fix: Option<Fix>,
}

/// The kinds of [`Pitfall`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PitfallKind {
    /// `KEY=   # comment`: compose takes the comment for the value.
    CommentAsValue,
    /// An unquoted value with quotes in it: compose keeps them, others drop them.
    QuotesInside,
    /// dotenvy reads another value, or refuses the line.
    DotenvyDiffers,
    /// `$NAME` in the value is replaced.
    Interpolates,
    /// `$NAME` in the value is replaced by nothing, as nothing sets it in this file.
    UnsetReference,
    /// compose refuses the `$` in the value, and with it the file.
    RefusedReference,
    /// `export KEY=`.
    Export,
    /// Spaces round the `=`.
    SpacesAroundEquals,
    /// `KEY: value`.
    ColonSeparator,
    /// `KEY` with no `=`.
    BareKey,
    /// Two assignments on one line.
    SharedLine,
    /// Lines end with `\r\n`.
    CrLf,
    /// The file begins with a byte order mark.
    Bom,
    /// The last line has no end.
    NoFinalNewline,
}

impl EnvFile {
    /// All pitfalls, by line; those of the whole file first.
    ///
    /// dotenvy is really asked. It looks names up in this process's environment first, so what is said about a value
    /// with a reference depends on that.
    pub fn pitfalls(&self) -> Vec<Pitfall> {
        let mut pitfalls = self.file_pitfalls();
        for (statement, entry) in self.statements.iter().zip(self.entries()) {
            let found = self.spelling_pitfalls(statement).into_iter().chain(self.value_pitfall(statement, &entry));
            pitfalls.extend(found.map(|(kind, message)| Pitfall {
                line: entry.line,
                key: Some(entry.key.to_owned()),
                kind,
                message: format!("{}: {message}", entry.key),
                fix: self.fix(kind, statement, &entry),
            }));
        }
        pitfalls
    }

    fn file_pitfalls(&self) -> Vec<Pitfall> {
        let pitfall = |line, kind, message: &str, fix| Pitfall {
            line,
            key: None,
            kind,
            message: message.to_owned(),
            fix: Some(fix),
        };
        let mut pitfalls = Vec::new();
        if self.has_bom() {
            let message =
                "the file begins with a byte order mark, which glues itself to the first name in sh and dotenvy";
            pitfalls.push(pitfall(1, PitfallKind::Bom, message, Fix::RemoveBom));
        }
        if let Some(at) = self.text.find("\r\n") {
            let message = "lines end with CR LF; sh takes the CR for a part of the value";
            pitfalls.push(pitfall(
                crate::scan::line_of(&self.text, at),
                PitfallKind::CrLf,
                message,
                Fix::UnixLineEndings,
            ));
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            let message = "the last line has no line ending; a key appended by a script is glued to it";
            let line = crate::scan::line_of(&self.text, self.text.len());
            pitfalls.push(pitfall(line, PitfallKind::NoFinalNewline, message, Fix::AddFinalNewline));
        }
        pitfalls
    }

    fn spelling_pitfalls(&self, statement: &Statement) -> Vec<(PitfallKind, &'static str)> {
        let mut found = Vec::new();
        let lead = &self.text[statement.span.start..statement.key.start];
        if !lead.is_empty() {
            found.push((PitfallKind::Export, "`docker run --env-file` refuses `export`"));
        }
        if statement.quoting == Quoting::Bare {
            found.push((
                PitfallKind::BareKey,
                "there is no `=`, so the value comes from the environment of whoever starts compose, and dotenvy refuses the line",
            ));
            return found;
        }
        let between = &self.text[statement.key.end..statement.separator_end];
        let comment = self.text[statement.value.clone()].starts_with('#');
        let gap = !statement.value.is_empty() && statement.value.start > statement.separator_end && !comment;
        if between.ends_with(':') {
            found.push((PitfallKind::ColonSeparator, "only compose accepts `:` in place of `=`"));
        } else if between.len() > 1 || gap {
            found.push((PitfallKind::SpacesAroundEquals, "sh and `docker run --env-file` refuse spaces round the `=`"));
        }
        if self.shares_line(statement) {
            found.push((
                PitfallKind::SharedLine,
                "compose reads more than one assignment on this line, other readers do not",
            ));
        }
        found
    }

    /// The worst that can be said of the value.
    fn value_pitfall(&self, statement: &Statement, entry: &Entry<'_>) -> Option<(PitfallKind, &'static str)> {
        let value = entry.value.as_ref()?;
        if entry.quoting == Quoting::Unquoted
            && entry.raw.starts_with('#')
            && statement.value.start > statement.separator_end
        {
            return Some((PitfallKind::CommentAsValue, "compose takes the comment behind the `=` for the value"));
        }
        match value.problem {
            Some(InterpolationError::Invalid) => {
                return Some((
                    PitfallKind::RefusedReference,
                    "compose refuses the `${` in the value, and with it the whole file",
                ));
            }
            Some(InterpolationError::Required { .. }) => {
                return Some((
                    PitfallKind::RefusedReference,
                    "compose refuses the file unless the required variable is set",
                ));
            }
            None => {}
        }
        let names = references(&statement.pattern);
        if !names.is_empty() {
            let known = |name: &str| {
                self.statements.iter().any(|s| s.span.start < statement.span.start && self.key_of(s) == name)
            };
            if names.iter().any(|(name, has_default)| !has_default && !known(name)) {
                return Some((
                    PitfallKind::UnsetReference,
                    "the `$` in the value begins a reference to a variable that nothing above sets",
                ));
            }
            return Some((PitfallKind::Interpolates, "the `$` in the value begins a reference, which is replaced"));
        }
        if self.shares_line(statement) {
            return None;
        }
        let line = &self.text[self.lines_of(statement)];
        let mut read = dotenvy::Iter::new(line.as_bytes());
        match read.next() {
            Some(Ok((_, other))) if other == value.text => None,
            _ if entry.quoting == Quoting::Unquoted && entry.raw.contains(['"', '\'']) => {
                Some((PitfallKind::QuotesInside, "compose keeps the quotes inside the value, sh and dotenvy do not"))
            }
            Some(Ok(_)) => Some((PitfallKind::DotenvyDiffers, "compose and dotenvy read different values")),
            _ => Some((PitfallKind::DotenvyDiffers, "compose reads this line, dotenvy refuses it")),
        }
    }

    fn fix(&self, kind: PitfallKind, statement: &Statement, entry: &Entry<'_>) -> Option<Fix> {
        if self.effective(entry.key) != Some(statement) {
            return None;
        }
        let value = match kind {
            PitfallKind::CommentAsValue => String::new(),
            PitfallKind::QuotesInside | PitfallKind::DotenvyDiffers => entry.value.as_ref()?.text.clone(),
            // Whoever wrote a `$` in a password meant it.
            PitfallKind::UnsetReference | PitfallKind::RefusedReference if crate::is_secret_key(entry.key) => {
                entry.raw.trim_matches('"').to_owned()
            }
            _ => return None,
        };
        Some(Fix::SetValue { key: entry.key.to_owned(), value: Secret::new(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<PitfallKind> {
        EnvFile::parse(text.as_bytes()).unwrap().pitfalls().into_iter().map(|pitfall| pitfall.kind).collect()
    }

    #[test]
    fn each_trap_is_found_and_plain_lines_have_none() {
        use PitfallKind::*;
        for (text, expect) in [
            ("K=v\nA='x y' # c\nB=\"\\$\"\nC=\n# c\n", vec![]),
            ("K=   # comment\n", vec![CommentAsValue]),
            ("K= #x\n", vec![CommentAsValue]),
            ("K=#x\n", vec![DotenvyDiffers]),
            ("K=a\"b\"\n", vec![QuotesInside]),
            ("K=two words\n", vec![DotenvyDiffers]),
            ("K=a\\b\n", vec![DotenvyDiffers]),
            ("K=pa$$w\n", vec![DotenvyDiffers]),
            ("A=1\nK=$A\n", vec![Interpolates]),
            ("K=p$word\n", vec![UnsetReference]),
            ("K=${X:-d}\n", vec![Interpolates]),
            ("K=${\n", vec![RefusedReference]),
            ("K=${X:?}\n", vec![RefusedReference]),
            ("export K=1\n", vec![Export]),
            ("K = 1\n", vec![SpacesAroundEquals]),
            ("K: 1\n", vec![ColonSeparator, DotenvyDiffers]),
            ("K\n", vec![BareKey]),
            ("K='a' B='b'\n", vec![SharedLine, SharedLine]),
            ("\u{feff}K=1\r\nB=2", vec![Bom, CrLf, NoFinalNewline]),
        ] {
            assert_eq!(kinds(text), expect, "{text:?}");
        }
    }

    #[test]
    fn applying_the_fixes_leaves_no_trap_and_no_message_shows_a_value() {
        for text in [
            "K=   # comment\n",
            "K=a\"hunter2\"\n",
            "K=hunter2 hunter2\n",
            "K=a\\b\n",
            "DB_PASSWORD=hunter2$word\n",
            "DB_PASSWORD=hunter2${\n",
            "\u{feff}K=1\r\nB=2",
        ] {
            let mut file = EnvFile::parse(text.as_bytes()).unwrap();
            for pitfall in file.pitfalls() {
                assert!(!format!("{pitfall:?}").contains("hunter2"), "{pitfall:?}");
                file.apply(&pitfall.fix.unwrap()).unwrap();
            }
            assert_eq!(file.pitfalls(), [], "{text:?}");
        }
    }
}
