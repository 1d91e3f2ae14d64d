//! The one error shape that reaches an admin: what is wrong and where, what to do, and the exit code.

use std::{error::Error, fmt};

/// Exit codes, as documented in `docs/commands.md`.
pub mod exit {
    /// Done, or already so.
    pub const OK: u8 = 0;
    /// Failed; nothing changed.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// Failed and rolled back: the old version is healthy.
    pub const ROLLED_BACK: u8 = 3;
    /// Degraded: needs a hand.
    pub const DEGRADED: u8 = 4;
    /// Another run holds the lock.
    pub const LOCKED: u8 = 5;
    /// `xr doctor` found problems.
    pub const FINDINGS: u8 = 6;
    /// `--check`: an update is available.
    pub const AVAILABLE: u8 = 10;
    /// Try later (sysexits' EX_TEMPFAIL): the registry or the remote does not answer just now.
    pub const TRY_LATER: u8 = 75;
    /// Interrupted (128 + SIGINT).
    pub const INTERRUPTED: u8 = 130;
}

/// A refusal or a failure that an admin can act on.
#[derive(Debug)]
pub struct Fault {
    /// One of [`exit`].
    pub code: u8,
    /// What is wrong, naming the file and line, host, image or container.
    pub message: String,
    /// A command, or one sentence, that mends it.
    pub hint: Option<String>,
    /// What lies beneath; printed once, after the message.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// `Result` with a [`Fault`].
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A failure that changed nothing ([`exit::FAILED`]).
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: exit::FAILED, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Adds the error beneath.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A `map_err` adapter: `fs::read(p).map_err(Fault::at(format!("cannot read {p}")))`.
    pub fn at<E: Into<Box<dyn Error + Send + Sync>>>(message: impl Into<String>) -> impl FnOnce(E) -> Self {
        let message = message.into();
        move |source| Self::new(message).because(source)
    }

    /// The message and everything beneath it, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next: Option<&dyn Error> = self.source.as_deref().map(|e| e as &dyn Error);
        while let Some(error) = next {
            let line = error.to_string();
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            next = error.source();
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
