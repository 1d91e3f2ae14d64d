//! OpenSSH's masters: the processes that keep connections open behind control sockets in a folder.

use std::{
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use duct::cmd;
use xr_lab::wait_for;

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
        let all = self.living()?;
        for (socket, _) in &all {
            cmd!("ssh", "-S", socket, "-O", "exit", "x").stderr_null().unchecked().run()?;
        }
        wait_for("connections to end", Duration::from_secs(10), || {
            all.iter().all(|(_, pid)| of_process(pid).is_none())
        })?;
        // A master takes its socket away under the name that it gave it, which may not be the name that it has now.
        for (socket, _) in all.iter().filter(|(socket, _)| socket.exists()) {
            std::fs::remove_file(socket)?;
        }
        Ok(())
    }

    /// Processor time of each by its process id, as far as it ran by itself: how it connected is its parent's.
    pub fn cpu(&self) -> Result<Vec<(String, Duration)>> {
        let all = self.living()?;
        Ok(all.into_iter().filter_map(|(_, pid)| of_process(&pid).map(|cpu| (pid, cpu))).collect())
    }

    /// Their sockets and process ids.
    fn living(&self) -> Result<Vec<(PathBuf, String)>> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry?.path();
            // Beside those of masters there may be sockets of what they forward, called otherwise.
            let master = path.extension().is_none_or(|extension| extension == "ssh");
            if !master || !path.symlink_metadata()?.file_type().is_socket() {
                continue;
            }
            let said = cmd!("ssh", "-S", &path, "-O", "check", "x").stderr_to_stdout().unchecked().read()?;
            if let Some((_, rest)) = said.split_once("pid=") {
                all.push((path, rest.chars().take_while(char::is_ascii_digit).collect()));
            }
        }
        Ok(all)
    }
}

/// What they have used in between; one that was not there before has used all its time since.
pub(super) fn spent(before: &[(String, Duration)], after: &[(String, Duration)]) -> Duration {
    let earlier = |pid: &str| before.iter().find(|(other, _)| other == pid).map_or(Duration::ZERO, |(_, cpu)| *cpu);
    after.iter().map(|(pid, cpu)| cpu.saturating_sub(earlier(pid))).sum()
}
