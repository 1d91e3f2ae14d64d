//! What a killed engine leaves on a machine: its containerd, its shims, their containers, mounts and bridges.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use duct::cmd;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Layout, wait_for};

/// Kills containerd, shims and their containers, known by this lab's exec-root in their command line.
pub(super) fn processes(layout: &Layout) -> Result<()> {
    let mark = layout.join("run/exec").display().to_string();
    let all = all_processes();
    let mut doomed: Vec<i32> = all.iter().filter(|process| process.command.contains(&mark)).map(|p| p.pid).collect();
    // a shim's children are the containers' first processes
    let mut known = 0;
    while known < doomed.len() {
        let parent = doomed[known];
        known += 1;
        let children: Vec<i32> =
            all.iter().filter(|p| p.parent == parent && !doomed.contains(&p.pid)).map(|p| p.pid).collect();
        doomed.extend(children);
    }
    for &pid in &doomed {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    wait_for("left-over containers to end", Duration::from_secs(10), || {
        doomed.iter().all(|pid| !matches!(Process::read(*pid), Some(process) if process.state != "Z"))
    })
}

struct Process {
    pid: i32,
    parent: i32,
    state: String,
    command: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.to_owned();
        let parent = fields.next()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Self { pid, parent, state, command: String::from_utf8_lossy(&command).replace('\0', " ") })
    }
}

/// Everything that runs, except this process and those that it descends from: their command lines may name the lab, too.
fn all_processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut all: Vec<Process> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect();
    let mut ancestor = i32::try_from(std::process::id()).unwrap_or(0);
    while let Some(index) = all.iter().position(|process| process.pid == ancestor) {
        ancestor = all.swap_remove(index).parent;
    }
    all
}

/// Unmounts whatever is still mounted below the lab, innermost first.
pub(super) fn mounts(root: &Path) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut points: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4))
        .filter(|point| Path::new(point).starts_with(root) && Path::new(point) != root)
        .collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points {
        let _ = cmd!("umount", "-l", point).stderr_null().run();
    }
    Ok(())
}
