//! OpenSSH's masters: the processes that keep connections open behind control sockets in a folder.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use duct::cmd;

use super::cost::of_process;

/// Those whose sockets are in one folder.
pub(super) struct Masters {
    folder: PathBuf,
}

impl Masters {
    /// The folder may come into being later.
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Ends them all; the next command has to connect.
    pub fn end(&self) -> Result<()> {
        for socket in self.sockets()? {
            // One that has ended meanwhile says so.
            cmd!("ssh", "-S", &socket, "-O", "exit", "x").stderr_null().unchecked().run()?;
        }
        xr_lab::wait_for("connections to end", Duration::from_secs(10), || {
            self.sockets().is_ok_and(|left| left.is_empty())
        })
    }

    /// Processor time of each by its process id, as far as it ran by itself: how it connected is its parent's.
    pub fn cpu(&self) -> Result<Vec<(String, Duration)>> {
        let mut all = Vec::new();
        for socket in self.sockets()? {
            let said = cmd!("ssh", "-S", &socket, "-O", "check", "x").stderr_to_stdout().unchecked().read()?;
            let pid = said.split_once("pid=").and_then(|(_, rest)| rest.split(')').next());
            let pid = pid.with_context(|| format!("{}: {said}", socket.display()))?;
            all.extend(of_process(pid).map(|cpu| (pid.to_owned(), cpu)));
        }
        Ok(all)
    }

    fn sockets(&self) -> Result<Vec<PathBuf>> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut sockets = Vec::new();
        for entry in entries {
            let entry = entry?;
            ensure!(!entry.file_type()?.is_dir(), "{} has folders", self.folder.display());
            // Beside each there are its forwarded sockets.
            if entry.path().extension().is_some_and(|extension| extension == "ssh") {
                sockets.push(entry.path());
            }
        }
        Ok(sockets)
    }
}

/// What they have used in between; one that was not there before has used all its time since.
pub(super) fn spent(before: &[(String, Duration)], after: &[(String, Duration)]) -> Duration {
    let earlier = |pid: &str| before.iter().find(|(other, _)| other == pid).map_or(Duration::ZERO, |(_, cpu)| *cpu);
    after.iter().map(|(pid, cpu)| cpu.saturating_sub(earlier(pid))).sum()
}
