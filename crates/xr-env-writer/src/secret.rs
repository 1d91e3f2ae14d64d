//! Secrets: a value that does not print itself, and where new ones come from.

use std::fmt;

/// A value that must not reach a log, a journal or a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value under guard.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The characters a generated secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alphabet {
    /// `0-9a-f`: safe in every file, URL and shell.
    #[default]
    Hex,
}

/// Which variable holds a secret, and what a new one looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRule {
    /// The variable.
    pub key: String,
    /// Length of the secret in characters.
    pub chars: usize,
    /// Its characters.
    pub alphabet: Alphabet,
}

impl SecretRule {
    /// A rule for `chars` hexadecimal characters (4 bits of randomness each).
    pub fn hex(key: impl Into<String>, chars: usize) -> Self {
        Self { key: key.into(), chars, alphabet: Alphabet::Hex }
    }

    /// A fresh secret by this rule, from the operating system's generator. Panics as [`random_hex`] does.
    pub fn generate(&self) -> Secret {
        match self.alphabet {
            Alphabet::Hex => random_hex(self.chars),
        }
    }
}

/// `chars` random hexadecimal characters from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness to give: there is no weaker secret to fall back to.
pub fn random_hex(chars: usize) -> Secret {
    let mut bytes = vec![0u8; chars.div_ceil(2)];
    getrandom::fill(&mut bytes).expect("the operating system's random number generator failed");
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(chars);
    Secret(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn random_hex_has_the_length_asked_for_and_differs_each_time() {
        for chars in [0, 1, 31, 32, 64] {
            let secret = random_hex(chars);
            assert_eq!(secret.expose().len(), chars);
            assert!(secret.expose().chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)));
        }
        assert_ne!(random_hex(32), random_hex(32));
    }
}
