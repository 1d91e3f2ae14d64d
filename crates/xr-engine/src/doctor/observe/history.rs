//! What `.xr/` holds, and whether a run is under way.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use xr_journal::{Generations, Home, unfinished};

use crate::doctor::facts::{History, RunUnderWay, Trouble, Unfinished};

pub(super) fn read(home: &Home) -> History {
    let generations = Generations::of(home);
    let unfinished = unfinished(home)
        .map(|run| run.map(|run| Unfinished { kind: run.plan.kind, version: run.plan.version.clone(), at: run.at }));
    History {
        current: generations.current().map_err(Trouble::from),
        kept: generations.all().map_err(Trouble::from),
        unfinished: unfinished.map_err(Trouble::from),
        under_way: under_way(home),
    }
}

/// The folder that stands for the stack's root in a generation.
pub(super) fn files(root: &Path, home: &Home, number: u32) -> PathBuf {
    Generations::of(home).files(number).join(root.file_name().unwrap_or_default())
}

/// Who holds the lock, from the kernel's list: trying it, were it only for a moment, could turn a real run away.
fn under_way(home: &Home) -> Option<RunUnderWay> {
    let inode = fs::metadata(home.lock()).ok()?.ino();
    let note = fs::read_to_string(home.lock()).ok()?;
    held(&fs::read_to_string("/proc/locks").ok()?, inode, note.trim()).then(|| RunUnderWay(note.trim().to_owned()))
}

/// Whether the [list](https://man7.org/linux/man-pages/man5/proc_locks.5.html) has a lock on this inode by the process
/// that the lock file names: `1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF`.
fn held(locks: &str, inode: u64, note: &str) -> bool {
    let Some(pid) = note.rsplit_once("pid ").map(|(_, pid)| pid) else { return false };
    locks.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let file = fields.get(5).and_then(|place| place.rsplit(':').next());
        fields.get(1) == Some(&"FLOCK")
            && fields.get(4) == Some(&pid)
            && file.and_then(|f| f.parse().ok()) == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_process_on_that_very_file_holds_the_lock() {
        let locks = "1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF\n2: POSIX  ADVISORY  WRITE 9 08:01:77 0 EOF\n";
        for (inode, note, expect) in [
            (1234, "xr update, pid 812", true),
            (1234, "xr update, pid 9", false),
            (77, "xr update, pid 9", false),
            (1234, "", false),
        ] {
            assert_eq!(held(locks, inode, note), expect, "{inode} {note}");
        }
    }

    #[test]
    fn a_lock_that_is_held_is_seen_and_one_let_go_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        let lock = xr_journal::RunLock::take(&home, "update", "2026-01-02T03:04:05Z").unwrap();
        assert!(under_way(&home).is_some_and(|run| run.0.starts_with("xr update, pid")));
        drop(lock);
        assert_eq!(under_way(&home), None);
    }
}
