//! Secrets that are empty. That may be a choice (a Redis without a password) or forgotten; only the admin knows.

use crate::{EnvFile, interpolate::references, is_secret_key, placeholder::can_be_generated};

/// A variable that wants a secret and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptySecret {
    /// The variable.
    pub key: String,
    /// Its line, from 1.
    pub line: usize,
    /// Whether somebody else issues it (an API key, a mail password): empty then mostly means that it is not used.
    pub issued: bool,
}

/// The secrets of a file that are set to nothing, in order. What refers to another variable is that one's business.
pub fn empty_secrets(file: &EnvFile) -> Vec<EmptySecret> {
    let refers = |key: &str| file.effective(key).is_some_and(|s| !references(&s.pattern).is_empty());
    let empty = |key: &str| {
        let value = file.get(key).filter(|value| value.text.trim().is_empty() && !refers(key))?;
        Some(EmptySecret { key: key.to_owned(), line: value.line, issued: !can_be_generated(key) })
    };
    file.keys().into_iter().filter(|key| is_secret_key(key)).filter_map(empty).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_secrets_are_found_and_nothing_else() {
        let text = "PASSWORD=\nDB_PASSWORD=''\nA=\nSMTP_PASSWORD=\nX_SECRET=x\nY_SECRET=${NOT_SET:-}\nBARE_TOKEN\n";
        let found = empty_secrets(&EnvFile::parse(text.as_bytes()).unwrap());
        let found: Vec<_> = found.iter().map(|one| (one.key.as_str(), one.line, one.issued)).collect();
        assert_eq!(found, [("PASSWORD", 1, false), ("DB_PASSWORD", 2, false), ("SMTP_PASSWORD", 4, true)]);
    }
}
