//! A program that the lab starts and surely stops again, even one that an earlier, killed lab left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{Layout, processes, wait_for};

/// A process in a session of its own, so that it outlives the one that started it.
/// It is known by pid and start time: a pid that was used again is somebody else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Daemon {
    /// Names the log `log/<name>.log` and the record `run/<name>.daemon`.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    started: u64,
    record: PathBuf,
}

impl Daemon {
    /// Starts `argv` in the background, its output going to `log/<name>.log`.
    pub fn start(layout: &Layout, name: &str, argv: &[String]) -> Result<Self> {
        let log = layout.join(&format!("log/{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = Command::new("setsid")
            .args(argv)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = i32::try_from(child.id())?;
        let started = start_time(pid).ok_or_else(|| anyhow!("{name} ended at once, see {}", log.display()))?;
        let record = layout.join(&format!("run/{name}.daemon"));
        let daemon = Self { name: name.to_owned(), pid, started, record };
        std::fs::write(&daemon.record, serde_json::to_vec(&daemon)?)?;
        Ok(daemon)
    }

    /// The daemon of this name, if one was started.
    pub fn named(layout: &Layout, name: &str) -> Option<Self> {
        Self::read(&layout.join(&format!("run/{name}.daemon")))
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Asks it to end, waits up to `limit`, then kills it. Stopping what has ended is no error.
    pub fn stop(&self, limit: Duration) -> Result<()> {
        if self.alive() {
            self.signal(Signal::TERM)?;
            if wait_for(&self.name, limit, || !self.alive()).is_err() {
                self.kill()?;
            }
        }
        let _ = std::fs::remove_file(&self.record);
        Ok(())
    }

    /// As [`Daemon::stop`], and then kills what it had started and left running.
    pub(crate) fn stop_with_children(&self, limit: Duration) -> Result<()> {
        let all = if self.alive() { processes::family(|process| process.pid == self.pid) } else { Vec::new() };
        self.stop(limit)?;
        processes::kill(&all)
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&self) -> Result<()> {
        if self.alive() {
            self.signal(Signal::KILL)?;
            wait_for(&self.name, Duration::from_secs(10), || !self.alive())?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { bail!("{} has no process id", self.name) };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot signal {} (pid {})", self.name, self.pid)),
        }
    }
}

/// Start time in clock ticks since boot; `None` for a process that is gone or waits to be reaped.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    match *fields.first()? {
        "Z" | "X" => None,
        _ => fields.get(19)?.parse().ok(),
    }
}
