//! What can be wrong with a file, and with a wish to change it.

/// A file that `docker compose` would refuse to read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    /// Byte offset of the fault in the file.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// The kinds of [`ParseError`]. None repeats a value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// The bytes are no UTF-8 from the reported offset on.
    #[error("not UTF-8")]
    NotUtf8,
    /// A quote is opened and never closed.
    #[error("the value opens a {0} quote which nothing closes")]
    UnterminatedQuote(char),
    /// A character which no variable name can hold.
    #[error("unexpected character {0:?} in a variable name")]
    BadKeyCharacter(char),
    /// Two words where one variable name is expected.
    #[error("a variable name cannot contain a space")]
    KeyWithSpace,
    /// `=value`, or `export` followed by nothing.
    #[error("a variable name is missing")]
    EmptyKey,
}

/// A change that was not made; the file is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No spelling makes `docker compose` read this value (only a NUL byte does that).
    #[error("the value of {key} cannot be written in a .env file")]
    Unrepresentable {
        /// The variable.
        key: String,
    },
    /// The name is no `[A-Za-z_][A-Za-z0-9_]*`, and the file does not have it yet.
    #[error("{key:?} is not a variable name")]
    BadKey {
        /// The refused name.
        key: String,
    },
    /// The file has no such variable.
    #[error("{key} is not in the file")]
    NoSuchKey {
        /// The variable.
        key: String,
    },
    /// The change would have altered what another variable reads as.
    #[error("changing {key} would change {other}")]
    WouldChange {
        /// The variable that was to be changed.
        key: String,
        /// The variable that would have changed with it.
        other: String,
    },
}
