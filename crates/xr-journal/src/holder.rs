//! Who holds the lock, read without touching it: trying it, were it only for a moment, could turn a real run away.

use std::{fmt, fs, os::unix::fs::MetadataExt};

use crate::Home;

/// The process that holds a stack's lock, as it has written itself into it: `xr update (pid 812, by root, since …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    note: String,
}

impl Holder {
    /// Who holds it now; nobody when its last holder has ended, however that ended.
    pub fn of(home: &Home) -> Option<Self> {
        let inode = fs::metadata(home.lock()).ok()?.ino();
        let note = fs::read_to_string(home.lock()).ok()?.trim().to_owned();
        let locks = fs::read_to_string("/proc/locks").ok()?;
        is_held(&locks, inode, pid(&note)?).then_some(Self { note })
    }

    pub(crate) fn note(command: &str, user: &str, at: &str) -> String {
        format!("xr {command} (pid {}, by {user}, since {at})\n", std::process::id())
    }

    /// The command, without `xr`.
    pub fn command(&self) -> &str {
        let command = self.note.strip_prefix("xr ").unwrap_or(&self.note);
        command.split_once(" (").map_or(command, |(command, _)| command)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

fn pid(note: &str) -> Option<&str> {
    note.split_once("(pid ")?.1.split_once(',').map(|(pid, _)| pid)
}

/// Whether the [list](https://man7.org/linux/man-pages/man5/proc_locks.5.html) has a lock on this inode by this process:
/// `1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF`.
fn is_held(locks: &str, inode: u64, pid: &str) -> bool {
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
    use crate::RunLock;

    #[test]
    fn only_the_named_process_on_that_very_file_holds_the_lock() {
        let locks = "1: FLOCK  ADVISORY  WRITE 812 08:01:1234 0 EOF\n2: POSIX  ADVISORY  WRITE 9 08:01:77 0 EOF\n";
        for (inode, pid, expect) in [(1234, "812", true), (1234, "9", false), (77, "9", false), (34, "812", false)] {
            assert_eq!(is_held(locks, inode, pid), expect, "{inode} {pid}");
        }
    }

    #[test]
    fn a_lock_that_is_held_is_seen_and_one_let_go_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        let lock = RunLock::take(&home, "doctor --fix", "2026-01-02T03:04:05Z").unwrap();
        let holder = Holder::of(&home).unwrap();
        assert_eq!(holder.command(), "doctor --fix");
        assert!(holder.to_string().contains("since 2026-01-02T03:04:05Z"), "{holder}");
        drop(lock);
        assert_eq!(Holder::of(&home), None);
    }
}
