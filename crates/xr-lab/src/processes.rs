//! What runs on this machine, by descent: what is ended takes its children along.

use std::time::Duration;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait_for;

/// One process, as `/proc` tells.
pub(crate) struct Process {
    pub pid: i32,
    parent: i32,
    state: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.to_owned();
        let parent = fields.next()?.parse().ok()?;
        Some(Self { pid, parent, state })
    }
}

/// The processes that `chosen` names and all their descendants, except this process and those that it descends from.
pub(crate) fn family(chosen: impl Fn(&Process) -> bool) -> Vec<i32> {
    let all = others();
    let mut family: Vec<i32> = all.iter().filter(|process| chosen(process)).map(|process| process.pid).collect();
    let mut known = 0;
    while known < family.len() {
        let parent = family[known];
        known += 1;
        let children: Vec<i32> =
            all.iter().filter(|p| p.parent == parent && !family.contains(&p.pid)).map(|p| p.pid).collect();
        family.extend(children);
    }
    family
}

/// Kills them and waits until they are gone.
pub(crate) fn kill(doomed: &[i32]) -> Result<()> {
    for pid in doomed.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    wait_for("left-over processes to end", Duration::from_secs(10), || {
        doomed.iter().all(|pid| !matches!(Process::read(*pid), Some(process) if process.state != "Z"))
    })
}

/// Everything that runs, except this process and those that it descends from: their command lines may name the lab, too.
fn others() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut all: Vec<Process> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect();
    let mut ancestor = i32::try_from(std::process::id()).unwrap_or(0);
    while let Some(index) = all.iter().position(|process| process.pid == ancestor) {
        ancestor = all.swap_remove(index).parent;
    }
    all
}
