//! One run at a time. The kernel drops the lock when its holder ends, however it ends: it cannot be left behind.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
};

use xr_model::{Fault, Result, exit};

use crate::Home;

/// The stack's lock, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, or says who holds it. Never waits.
    ///
    /// # Errors
    /// [`exit::LOCKED`] when another run holds it.
    pub fn take(home: &Home, command: &str) -> Result<Self> {
        home.create()?;
        let path = home.lock();
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
        let mut file = open().map_err(|error| {
            Fault::new(format!("cannot open {}", path.display()))
                .because(error)
                .hint("run xr as the stack's owner, or with sudo, on a file system that is mounted read-write")
        })?;
        crate::atomic::give_to_folders_owner(&file, &path)
            .map_err(Fault::at(format!("cannot open {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {
                let note = format!("xr {command}, pid {}\n", std::process::id());
                let write = |file: &mut File| {
                    file.set_len(0)?;
                    file.rewind()?;
                    file.write_all(note.as_bytes())
                };
                // The note only helps a reader; a full disk must not stop a rollback.
                let _ = write(&mut file);
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "another xr".to_owned() } else { holder.trim().to_owned() };
                Err(Fault::new(format!("another run holds the lock {}: {holder}", path.display()))
                    .hint("wait for it to end, then look at `xr status`")
                    .code(exit::LOCKED))
            }
            Err(TryLockError::Error(error)) => {
                Err(Fault::new(format!("cannot lock {}", path.display())).because(error))
            }
        }
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

    /// Waits until no program of an earlier run is at work. Blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn wait_for_orphans(home: &Home) -> Result<()> {
        Self::open(home)?.lock().map_err(Fault::at(format!("cannot lock {}", Self::path(home).display())))
    }

    fn path(home: &Home) -> std::path::PathBuf {
        home.path().join("children")
    }

    fn open(home: &Home) -> Result<File> {
        let path = Self::path(home);
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)?;
            crate::atomic::give_to_folders_owner(&file, &path).map(|()| file)
        };
        open().map_err(Fault::at(format!("cannot open {}", path.display())))
    }
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
        ChildrenLock::wait_for_orphans(&home).unwrap();
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        let first = RunLock::take(&home, "update").unwrap();
        let fault = RunLock::take(&home, "rollback").unwrap_err();
        assert_eq!(fault.code, exit::LOCKED);
        assert!(fault.message.contains("xr update, pid"), "{}", fault.message);
        drop(first);
        RunLock::take(&home, "rollback").unwrap();
    }
}
