//! One run at a time. The kernel drops the lock when its holder ends, however it ends: it cannot be left behind.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use xr_model::{Fault, Result, exit};

use crate::{Holder, Home, Reserve, refusal::refused, unfinished};

/// How long a holder may take to write itself into the lock.
const INTRODUCTION: Duration = Duration::from_millis(300);

/// How often a lock that is removed just when it is taken is taken again.
const TRIES: u32 = 5;

/// The stack's lock, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock for `command` at the moment `at` (RFC 3339), or says who holds it and what that is doing. Does not
    /// wait for its end.
    ///
    /// # Errors
    /// [`exit::LOCKED`] when another run holds it.
    pub fn take(home: &Home, command: &str, at: &str) -> Result<Self> {
        Self::try_take(home, command, at, TRIES)
    }

    fn try_take(home: &Home, command: &str, at: &str, tries: u32) -> Result<Self> {
        home.create()?;
        let path = home.lock();
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
        let mut file = open().map_err(|error| refused("open", &path, error))?;
        // One that was removed with its folder meanwhile locks nobody out.
        let is_there = |file: &File| {
            let (ours, there) = (file.metadata().ok()?, fs::metadata(&path).ok()?);
            Some((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        crate::atomic::give_to_folders_owner(&file, &path)
            .map_err(Fault::at(format!("cannot open {}", path.display())))?;
        match file.try_lock() {
            Ok(()) if tries > 1 && is_there(&file) != Some(true) => Self::try_take(home, command, at, tries - 1),
            Ok(()) => {
                let note = Holder::note(command, &user(), at);
                let write = |file: &mut File| {
                    file.set_len(0)?;
                    file.rewind()?;
                    file.write_all(note.as_bytes())
                };
                // The note only helps a reader; a full disk must not stop a rollback.
                let _ = write(&mut file);
                Reserve::of(home).keep();
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = holder(home);
                Err(Fault::new(format!("another run holds the lock {}: {holder}{}", path.display(), doing(home)))
                    .hint("--wait 10m waits for its end; `xr status` shows how it goes")
                    .code(exit::LOCKED))
            }
            Err(TryLockError::Error(error)) => {
                Err(Fault::new(format!("cannot lock {}", path.display())).because(error))
            }
        }
    }
}

/// Who holds the lock. One that took it this very moment has yet to write itself into it; until then there stands who
/// held it before.
fn holder(home: &Home) -> String {
    let begun = Instant::now();
    while begun.elapsed() < INTRODUCTION {
        if let Some(holder) = Holder::of(home) {
            return holder.to_string();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Another program (`flock`), or one whose processes are not seen from here.
    match fs::read_to_string(home.lock()).unwrap_or_default().trim() {
        "" => "another program".to_owned(),
        note => format!("another program; the last that is noted: {note}"),
    }
}

/// Who runs this, as an admin would say it: under sudo the one who called sudo.
fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// The step that the journal says is under way.
fn doing(home: &Home) -> String {
    let Ok(Some(run)) = unfinished(home) else { return String::new() };
    let step = run.plan.steps().find(|step| run.started.contains(&step.id) && !run.done.contains(&step.id));
    match (run.unwinding, step) {
        (Some(_), _) => ", undoing it".to_owned(),
        (None, Some(step)) => format!(", now: {}", step.action.title()),
        (None, None) => ", now: between two steps".to_owned(),
    }
}

/// Held, shared, by every program that a run starts: such a program may outlive a killed xr and still be at work.
///
/// The file is inherited, so the kernel lets go of it when the last of them has ended.
#[derive(Debug)]
pub struct ChildrenLock {
    _file: File,
}

impl ChildrenLock {
    /// Takes it for the programs that this process starts from now on.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn share(home: &Home) -> Result<Self> {
        let file = Self::open(home)?;
        let inherited = || {
            file.lock_shared()?;
            rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(std::io::Error::from)
        };
        inherited().map_err(Fault::at(format!("cannot lock {}", Self::path(home).display())))?;
        Ok(Self { _file: file })
    }

    /// Waits until no program of an earlier run is at work, and ends those that are still at it after `patience`. Blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or locked, or a program cannot be ended.
    pub fn wait_for_orphans(home: &Home, patience: Duration) -> Result<()> {
        let file = Self::open(home)?;
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            if let Some(signal) = signal {
                // One that has just ended, or is not ours to end, is told apart by what comes next.
                for pid in holders(&Self::path(home)) {
                    let _ = kill_process(pid, signal);
                }
            }
            let begun = Instant::now();
            while begun.elapsed() < patience {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
                    Err(TryLockError::Error(error)) => {
                        return Err(Fault::new(format!("cannot lock {}", Self::path(home).display())).because(error));
                    }
                }
            }
        }
        Err(Fault::new("a program that the killed run had started does not end")
            .hint(format!("fuser -v {}", xr_model::shell(&Self::path(home)))))
    }

    fn path(home: &Home) -> PathBuf {
        home.path().join("children")
    }

    fn open(home: &Home) -> Result<File> {
        let path = Self::path(home);
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)?;
            crate::atomic::give_to_folders_owner(&file, &path).map(|()| file)
        };
        open().map_err(|error| refused("open", &path, error))
    }
}

/// Processes that have this file open.
fn holders(path: &Path) -> Vec<Pid> {
    let Ok(real) = path.canonicalize() else { return Vec::new() };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = pids.filter(|pid| i32::try_from(std::process::id()) != Ok(*pid));
    let holds = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == real))
    };
    others.filter(holds).filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_outlives_its_run_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        let shared = ChildrenLock::share(&home).unwrap();
        let exclusive = ChildrenLock::open(&home).unwrap();
        assert!(matches!(exclusive.try_lock(), Err(TryLockError::WouldBlock)));
        drop(shared);
        ChildrenLock::wait_for_orphans(&home, Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        let first = RunLock::take(&home, "update", "2026-01-02T03:04:05Z").unwrap();
        let fault = RunLock::take(&home, "rollback", "2026-01-02T03:04:06Z").unwrap_err();
        assert_eq!(fault.code, exit::LOCKED);
        let holder = format!("xr update (pid {}, by ", std::process::id());
        assert!(fault.message.contains(&holder), "{}", fault.message);
        assert!(fault.message.contains("since 2026-01-02T03:04:05Z)"), "{}", fault.message);
        drop(first);
        RunLock::take(&home, "rollback", "2026-01-02T03:04:06Z").unwrap();
    }
}
