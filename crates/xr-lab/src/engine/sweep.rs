//! What a killed engine leaves on a machine: its containerd, its shims, their containers, mounts and bridges.

use std::path::Path;

use anyhow::Result;
use duct::cmd;

use crate::{Layout, processes};

/// Kills containerd, shims and their containers, known by this lab's exec-root in their command line: a shim's children are
/// the containers' first processes.
pub(super) fn processes(layout: &Layout) -> Result<()> {
    let mark = layout.join("run/exec").display().to_string();
    processes::kill(&processes::family(|process| process.command.contains(&mark)))
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
