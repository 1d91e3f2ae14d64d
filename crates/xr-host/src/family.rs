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
#[derive(Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: Pid,
    parent: i32,
    started: u64,
    ended: bool,
}

impl Process {
    fn read(pid: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name, in brackets, may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        Some(Self { pid, parent, started: fields.nth(17)?.parse().ok()?, ended })
    }

    fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started && !now.ended)
    }

    fn signal(&self, signal: Signal) {
        if self.lives() {
            // One that has just ended needs no signal.
            let _ = kill_process(self.pid, signal);
        }
    }
}

/// The process `pid` and all that descend from it, parents first.
fn family(pid: u32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let all: Vec<Process> = pids.filter_map(Process::read).collect();
    let mut family: Vec<Process> =
        all.iter().filter(|process| u32::try_from(process.pid.as_raw_nonzero().get()) == Ok(pid)).copied().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|process| process.pid.as_raw_nonzero().get()) {
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
