//! The file: its text as it is, and what compose reads in it.

use std::collections::HashMap;
use std::fmt;

use crate::entry::{Duplicate, Entry, Quoting, Statement, Value};
use crate::interpolate::{Lookup, interpolate};
use crate::scan::{self, error_at, scan};
use crate::{ParseError, ParseErrorKind};

/// A `.env` file. The text is the truth; everything else is found in it. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    pub(crate) text: String,
    pub(crate) statements: Vec<Statement>,
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

impl EnvFile {
    /// Reads a file. What compose would refuse to parse is an error; a value that it would refuse to interpolate is
    /// not, so that such a file can be repaired: see [`Value::problem`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::from_text(text.to_owned()),
            Err(error) => {
                let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                Err(error_at(&good, good.len(), ParseErrorKind::NotUtf8))
            }
        }
    }

    pub(crate) fn from_text(text: String) -> Result<Self, ParseError> {
        let statements = scan(&text)?;
        Ok(Self { text, statements })
    }

    /// The file's bytes: those that were parsed, but for what was changed since.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }

    /// The variables in the order of their first appearance, each once.
    pub fn keys(&self) -> Vec<&str> {
        let mut seen = std::collections::HashSet::new();
        self.statements.iter().map(|statement| self.key_of(statement)).filter(|key| seen.insert(*key)).collect()
    }

    /// Whether the file mentions the variable, with or without a value.
    pub fn contains(&self, key: &str) -> bool {
        self.statements.iter().any(|statement| self.key_of(statement) == key)
    }

    /// The value as compose reads it with nothing set in its environment; the last assignment wins.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.get_with(key, &|_| None)
    }

    /// Like [`get`](Self::get), with the environment that compose is started in: there references and bare keys look
    /// first. (That compose lets the environment override the whole variable is not applied here.)
    pub fn get_with(&self, key: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
        let values = self.read(env);
        let last = self
            .statements
            .iter()
            .zip(values)
            .rfind(|(statement, value)| self.key_of(statement) == key && value.is_some());
        last.and_then(|(_, value)| value)
    }

    /// Every assignment, in order, duplicates included.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        let values = self.read(&|_| None);
        let entry = |(statement, value): (&Statement, Option<Value>)| Entry {
            line: statement.line,
            key: &self.text[statement.key.clone()],
            raw: &self.text[statement.value.clone()],
            quoting: statement.quoting,
            value,
        };
        self.statements.iter().zip(values).map(|(statement, value)| entry((statement, value))).collect()
    }

    /// The variables that are assigned more than once, in order of first appearance.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let entries = self.entries();
        let duplicate = |key: &str| {
            let same: Vec<_> = entries.iter().filter(|entry| entry.key == key).collect();
            let text = |entry: &Entry<'_>| entry.value.as_ref().map(|value| value.text.clone());
            (same.len() > 1).then(|| Duplicate {
                key: key.to_owned(),
                lines: same.iter().map(|entry| entry.line).collect(),
                values_differ: same.iter().any(|entry| text(entry) != text(same[0])),
            })
        };
        self.keys().into_iter().filter_map(duplicate).collect()
    }

    pub(crate) fn key_of(&self, statement: &Statement) -> &str {
        &self.text[statement.key.clone()]
    }

    /// The assignment that counts: the last with a value, else the last bare one.
    pub(crate) fn effective(&self, key: &str) -> Option<&Statement> {
        let of_key = || self.statements.iter().filter(|statement| self.key_of(statement) == key);
        of_key().rfind(|statement| statement.quoting != Quoting::Bare).or_else(|| of_key().next_back())
    }

    pub(crate) fn has_bom(&self) -> bool {
        self.text.starts_with(scan::BOM)
    }

    /// The value of each statement, one after the other, each seeing those before it.
    fn read(&self, env: Lookup<'_>) -> Vec<Option<Value>> {
        let mut known: HashMap<&str, String> = HashMap::new();
        let mut values = Vec::with_capacity(self.statements.len());
        for statement in &self.statements {
            let key = self.key_of(statement);
            let read = match statement.quoting {
                Quoting::Bare => env(key).map(Ok),
                _ => Some(interpolate(&statement.pattern, &|name| env(name).or_else(|| known.get(name).cloned()))),
            };
            let value = read.map(|read| {
                let (text, problem) = match read {
                    Ok(text) => (text, None),
                    Err(problem) => (statement.pattern.clone(), Some(problem)),
                };
                Value { text, quoting: statement.quoting, line: statement.line, problem }
            });
            if let Some(value) = &value {
                known.insert(key, value.text.clone());
            }
            values.push(value);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> EnvFile {
        EnvFile::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn values_read_as_in_compose() {
        for (text, expect) in [
            ("K=v", "v"),
            ("K = v ", "v"),
            ("  export K=v\r\n", "v"),
            ("K=a # b", "a"),
            ("K=a#b", "a#b"),
            ("K=   # comment", "# comment"),
            ("K=#x", "#x"),
            ("K=\t# c\n", "# c"),
            ("K='a # b' # c", "a # b"),
            ("K='it\\'s'", "it's"),
            ("K='a\\nb$X'", "a\\nb$X"),
            (r#"K="a\nb\t\"c\" \$X \\""#, "a\nb\t\"c\" $X \\"),
            ("K=\"two\nlines\"\n", "two\nlines"),
            ("K=a\"b\"", "a\"b\""),
            ("K=1\nK=2", "2"),
            ("K=1\nK\n", "1"),
            ("A=1\nK=${A}$A${B:-x}", "11x"),
            ("K=", ""),
            ("K: yaml", "yaml"),
            ("\u{feff}K=1", "1"),
        ] {
            assert_eq!(file(text).get("K").unwrap().text, expect, "{text:?}");
        }
    }

    #[test]
    fn the_environment_wins_over_earlier_keys_in_references_and_fills_bare_keys() {
        let file = file("A=file\nB=$A\nC\n");
        let env = |name: &str| (name != "B").then(|| format!("env-{name}"));
        assert_eq!(file.get_with("B", &env).unwrap().text, "env-A");
        assert_eq!(file.get_with("C", &env).unwrap().text, "env-C");
        assert_eq!(file.get("C"), None);
    }

    #[test]
    fn a_value_that_compose_refuses_says_so_and_does_not_hide_the_others() {
        let file = file("A=${\nB=1\n");
        assert!(file.get("A").unwrap().problem.is_some());
        assert_eq!(file.get("B").unwrap().text, "1");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_line() {
        let error = EnvFile::parse(b"A=1\nB=\xff").unwrap_err();
        assert_eq!((error.line, error.column, error.kind), (2, 3, ParseErrorKind::NotUtf8));
    }

    #[test]
    fn duplicates_are_listed_with_lines_and_whether_they_differ() {
        let found = file("A=1\nB=x\nA=2\nB='x'\nC=1\n").duplicates();
        let found: Vec<_> = found.iter().map(|d| (d.key.as_str(), d.lines.clone(), d.values_differ)).collect();
        assert_eq!(found, [("A", vec![1, 3], true), ("B", vec![2, 4], false)]);
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let file = file("PASSWORD=hunter2\n");
        assert!(!format!("{file:?} {:?} {:?}", file.get("PASSWORD"), file.entries()).contains("hunter2"));
    }
}
