//! The grammar: finds the assignments in a text exactly where compose-go's `dotenv` parser finds them.

use crate::entry::{Quoting, Statement};
use crate::escape;
use crate::{ParseError, ParseErrorKind};

pub(crate) const BOM: &str = "\u{feff}";

/// All assignments of `text`, in order.
pub(crate) fn scan(text: &str) -> Result<Vec<Statement>, ParseError> {
    let mut scanner =
        Scanner { text, at: if text.starts_with(BOM) { BOM.len() } else { 0 }, line: (0, 1), found: Vec::new() };
    while scanner.skip_to_statement() {
        scanner.statement()?;
    }
    Ok(scanner.found)
}

/// An error at a byte offset of a text.
pub(crate) fn error_at(text: &str, offset: usize, kind: ParseErrorKind) -> ParseError {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = line_of(text, offset);
    let column = before[line_start..].trim_start_matches(BOM).chars().count() + 1;
    ParseError { line, column, offset, kind }
}

/// The line, from 1, on which a byte offset lies.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// White space that does not end a line.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// An offset, and the line it is on.
    line: (usize, usize),
    found: Vec<Statement>,
}

impl Scanner<'_> {
    fn skip(&self, from: usize, what: impl Fn(char) -> bool) -> usize {
        self.text[from..].find(|c| !what(c)).map_or(self.text.len(), |at| from + at)
    }

    fn fail<T>(&self, offset: usize, kind: ParseErrorKind) -> Result<T, ParseError> {
        Err(error_at(self.text, offset, kind))
    }

    /// Passes white space and comments; false at the end of the file.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.at = self.skip(self.at, char::is_whitespace);
            if !self.text[self.at..].starts_with('#') {
                return self.at < self.text.len();
            }
            self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |end| self.at + end);
        }
    }

    fn statement(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let mut key_start = start;
        if let Some(after) = self.text[start..].strip_prefix("export")
            && after.starts_with(['\t', '\n', '\u{c}', '\r', ' '])
        {
            key_start = self.skip(start + "export".len(), is_space);
        }
        let (name_end, end) = self.name(key_start)?;
        let name = self.text[key_start..name_end].trim_end();
        if name.contains(' ') {
            return self.fail(key_start, ParseErrorKind::KeyWithSpace);
        }
        let key = key_start..key_start + name.len();
        match end {
            // `export` alone on its line: compose looks up a variable with no name and goes on.
            NameEnd::LineEnd if name.is_empty() => self.at = name_end,
            NameEnd::Equals if name.is_empty() => return self.fail(key_start, ParseErrorKind::EmptyKey),
            NameEnd::LineEnd => {
                let (span, nothing) = (start..key.end, key.end..key.end);
                self.at = name_end;
                self.push(Statement {
                    line: 0,
                    span,
                    separator_end: key.end,
                    key,
                    value: nothing,
                    quoting: Quoting::Bare,
                    pattern: String::new(),
                });
            }
            NameEnd::Equals => self.value(start, key, name_end + 1)?,
        }
        Ok(())
    }

    fn push(&mut self, mut statement: Statement) {
        let (at, line) = self.line;
        let start = statement.key.start;
        let passed = self.text.as_bytes()[at..start].iter().filter(|byte| **byte == b'\n').count();
        self.line = (start, line + passed);
        statement.line = line + passed;
        self.found.push(statement);
    }

    /// Where the name with its trailing space ends, and by what.
    fn name(&self, from: usize) -> Result<(usize, NameEnd), ParseError> {
        for (at, c) in self.text[from..].char_indices() {
            match c {
                '=' | ':' => return Ok((from + at, NameEnd::Equals)),
                '\n' => return Ok((from + at, NameEnd::LineEnd)),
                '_' | '.' | '-' | '[' | ']' => {}
                _ if is_space(c) || c.is_alphabetic() || c.is_numeric() => {}
                _ => return self.fail(from + at, ParseErrorKind::BadKeyCharacter(c)),
            }
        }
        if from == self.text.len() {
            return self.fail(from, ParseErrorKind::EmptyKey);
        }
        Ok((self.text.len(), NameEnd::LineEnd))
    }

    fn value(&mut self, start: usize, key: std::ops::Range<usize>, separator_end: usize) -> Result<(), ParseError> {
        let from = self.skip(separator_end, is_space);
        let (value, quoting, pattern) = match self.text[from..].chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let Some((length, content)) = quoted(&self.text[from..], quote) else {
                    return self.fail(from, ParseErrorKind::UnterminatedQuote(quote));
                };
                self.at = from + length;
                if quote == '"' {
                    (from..self.at, Quoting::Double, escape::expand(&content))
                } else {
                    (from..self.at, Quoting::Single, content.replace('$', "$$"))
                }
            }
            _ => {
                let line = self.text[from..].split('\n').next().unwrap_or_default();
                self.at = from + line.len();
                let value = line.split(" #").next().unwrap_or_default().trim_end();
                // An empty value sits at its `=`, before any spaces and the `\r` of the line ending.
                let at = if value.is_empty() { separator_end } else { from };
                (at..at + value.len(), Quoting::Unquoted, value.to_owned())
            }
        };
        self.push(Statement { line: 0, span: start..value.end, key, separator_end, value, quoting, pattern });
        Ok(())
    }
}

enum NameEnd {
    Equals,
    LineEnd,
}

/// The length of a quoted text with its quotes, and its content: a backslash hides a quote and vanishes with it, every
/// other one stays with the character after it.
fn quoted(text: &str, quote: char) -> Option<(usize, String)> {
    let mut content = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
            if c != quote {
                content.push('\\');
            }
            content.push(c);
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some((at + 1, content));
        } else {
            content.push(c);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_refuses_is_refused_with_its_place() {
        use ParseErrorKind::*;
        for (text, line, column, kind) in [
            ("A=1\nB='x\n", 2, 3, UnterminatedQuote('\'')),
            ("A=\"x\\\"", 1, 3, UnterminatedQuote('"')),
            ("A='x\\'", 1, 3, UnterminatedQuote('\'')),
            ("A B=1", 1, 1, KeyWithSpace),
            ("\n  A!=1", 2, 4, BadKeyCharacter('!')),
            ("A='a'\"b\"", 1, 6, BadKeyCharacter('"')),
            ("=1", 1, 1, EmptyKey),
            ("export ", 1, 8, EmptyKey),
            ("\u{feff}é=1\n\"A\"=2", 2, 1, BadKeyCharacter('"')),
        ] {
            let error = scan(text).unwrap_err();
            assert_eq!((error.line, error.column, error.kind), (line, column, kind), "{text:?}");
        }
    }

    #[test]
    fn spans_cover_the_value_and_nothing_else() {
        for (text, expect) in [
            ("A=1", vec![("A", "1")]),
            ("A=1 # c\n", vec![("A", "1")]),
            ("A = 'x' # c\r\nB=\r\n", vec![("A", "'x'"), ("B", "")]),
            ("A=   # c\n", vec![("A", "# c")]),
            ("export A=1\nexport\nB: 2", vec![("A", "1"), ("B", "2")]),
            ("A=\"x\ny\" B=2", vec![("A", "\"x\ny\""), ("B", "2")]),
            ("A\nB=2\nC", vec![("A", ""), ("B", "2"), ("C", "")]),
        ] {
            let found = scan(text).unwrap();
            let found: Vec<_> = found.iter().map(|s| (&text[s.key.clone()], &text[s.value.clone()])).collect();
            assert_eq!(found, expect, "{text:?}");
        }
    }
}
