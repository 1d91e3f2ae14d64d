//! Running the binary under test.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Output;

use anyhow::{Context, Result};
use duct::{Expression, Handle};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What a run of `xr` did.
pub struct Done {
    pub argv: String,
    /// Exit code; -1 after a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(argv: &[&str], command: Expression) -> Result<Self> {
        let output = command.stdout_capture().stderr_capture().run()?;
        Ok(Self::from(argv, &output))
    }

    fn from(argv: &[&str], output: &Output) -> Self {
        Self {
            argv: argv.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It must have ended with this code; everything it said is shown when not.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// It must have said this on standard error.
    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "nothing about {part:?} in {self}");
        self
    }

    /// It must not have said this anywhere.
    #[track_caller]
    pub fn never_says(self, part: &str) -> Self {
        assert!(!self.stdout.contains(part) && !self.stderr.contains(part), "{part:?} in {self}");
        self
    }

    /// It must have said nothing at all.
    #[track_caller]
    pub fn says_nothing(self) -> Self {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "not silent: {self}");
        self
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xr {}: exit {}\n-- stdout\n{}-- stderr\n{}", self.argv, self.code, self.stdout, self.stderr)
    }
}

/// An `xr` that runs.
pub struct Background {
    argv: Vec<String>,
    handle: Handle,
}

impl Background {
    pub fn start(argv: &[&str], command: Expression) -> Result<Self> {
        let own_group = command.before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        let handle = own_group.stdout_capture().stderr_capture().start()?;
        Ok(Self { argv: argv.iter().map(|arg| (*arg).to_owned()).collect(), handle })
    }

    pub fn ended(&self) -> bool {
        !matches!(self.handle.try_wait(), Ok(None))
    }

    /// Sends a signal to the process itself, not to what it started.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.handle.pids().first().copied().context("no process")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
        if self.ended() {
            return Ok(());
        }
        kill_process(pid, signal).context("cannot signal xr")
    }

    /// Kills it and everything in its process group, as the end of a session does.
    pub fn kill_group(&self) -> Result<()> {
        let pid = self.handle.pids().first().copied().context("no process")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
        kill_process_group(pid, Signal::KILL).context("cannot kill xr's process group")
    }

    /// Waits for its end, and for that of its guard, which shares its standard error.
    pub fn end(self) -> Result<Done> {
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        Ok(Done::from(&argv, self.handle.wait()?))
    }
}
