//! A process and everything that it has started, as `/proc` tells (proc_pid_stat(5)).

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process has to clear up (git removes its lock files) before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether all have ended.
const LOOK: Duration = Duration::from_millis(10);

/// A process, told from a later one with the same id by the time of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number here.
    pub pid: Pid,
    /// Who started it, or has taken it over.
    pub parent: i32,
    /// The number of the process that leads its session.
    pub session: i32,
    /// Whether it has ended, and waits at most for its parent to hear of it.
    pub ended: bool,
    started: u64,
}

impl Process {
    /// What there is now under this number.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name, in brackets, may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some(Self { pid, parent, session, ended, started: fields.nth(15)?.parse().ok()? })
    }

    /// Whether it is the same process.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }

    /// Its number.
    pub(crate) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.is(self) && !now.ended)
    }

    fn signal(&self, signal: Signal) {
        if self.lives() {
            // One that has just ended needs no signal.
            let _ = kill_process(self.pid, signal);
        }
    }
}

/// Every process that can be seen.
pub(crate) fn all() -> Vec<Process> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter_map(Process::read).collect()
}

/// The process `pid` and all that descend from it, parents first.
fn family(pid: u32) -> Vec<Process> {
    let all = all();
    let mut family: Vec<Process> =
        all.iter().filter(|process| u32::try_from(process.number()) == Ok(pid)).copied().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(Process::number) {
        family.extend(all.iter().filter(|process| process.parent == parent));
        next += 1;
    }
    family
}

/// Kills a process and everything that it has started.
pub(crate) fn kill(pid: u32) {
    family(pid).iter().for_each(|process| process.signal(Signal::KILL));
}

/// Ends a process and everything that it has started: asks first, then kills.
pub(crate) fn end(pid: u32) {
    let family = family(pid);
    family.iter().for_each(|process| process.signal(Signal::TERM));
    let begun = Instant::now();
    while family.iter().any(Process::lives) && begun.elapsed() < GRACE {
        std::thread::sleep(LOOK);
    }
    family.iter().for_each(|process| process.signal(Signal::KILL));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_process_with_the_same_number_is_another() {
        let me = Process::read(Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap()).unwrap();
        assert!(!me.ended && me.lives());
        assert!(me.is(&me) && !me.is(&Process { started: 0, ..me }));
    }
}
