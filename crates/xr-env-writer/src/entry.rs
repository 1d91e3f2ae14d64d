//! What a file holds, as its readers see it.

use std::fmt;
use std::ops::Range;

use crate::InterpolationError;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// `KEY` with no `=`: taken from the environment of whoever starts compose.
    Bare,
    /// `KEY=value`: trimmed, ` #` begins a comment, `$` interpolates.
    Unquoted,
    /// `KEY='value'`: literal.
    Single,
    /// `KEY="value"`: escapes, and `$` interpolates.
    Double,
}

/// One assignment in the file, duplicates included. `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Line on which the variable name stands, from 1.
    pub line: usize,
    /// The variable.
    pub key: &'a str,
    /// The value's bytes in the file, with their quotes; empty for a bare key.
    pub raw: &'a str,
    /// How it is written.
    pub quoting: Quoting,
    /// The value as compose reads it here; `None` for a bare key.
    pub value: Option<Value>,
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}: {} {:?})", self.line, self.key, self.quoting)
    }
}

/// A value as compose reads it. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The text, interpolated; if `problem` is set, the text before interpolation.
    pub text: String,
    /// How it is written.
    pub quoting: Quoting,
    /// Line of the assignment, from 1.
    pub line: usize,
    /// Why compose would refuse to interpolate this value, and with it the file.
    pub problem: Option<InterpolationError>,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value(*** {:?}, line {})", self.quoting, self.line)
    }
}

/// A variable that the file assigns more than once. The last assignment is the one that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The variable.
    pub key: String,
    /// The lines, from 1, in order.
    pub lines: Vec<usize>,
    /// Whether the assignments disagree.
    pub values_differ: bool,
}

/// One assignment as byte ranges of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Line of the name, from 1.
    pub(crate) line: usize,
    /// From `export` or the name to the end of the value.
    pub(crate) span: Range<usize>,
    /// Where the name stands.
    pub(crate) key: Range<usize>,
    /// Offset just after the `=`, or after the name of a bare key.
    pub(crate) separator_end: usize,
    /// The value with its quotes.
    pub(crate) value: Range<usize>,
    pub(crate) quoting: Quoting,
    /// What interpolation turns into the value; in single quotes every `$` is already doubled.
    pub(crate) pattern: String,
}
