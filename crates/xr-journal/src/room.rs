//! How much a disk still takes.

use std::{
    io::{self, Write},
    path::Path,
};

use xr_model::{Fault, Result};

use crate::refusal::refused;

/// Bytes that are written on trial: more than the end of a run usually writes.
const TRIAL: usize = 1 << 20;

/// Bytes that are free to the user on a folder's disk; plenty where that cannot be told.
pub(crate) fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether a folder's disk has less room than the end of a run may take; for folders that are not xr's own to write to.
pub fn is_full(folder: &Path) -> bool {
    free(folder) < TRIAL as u64
}

/// Tries whether a folder takes a file of 1 MiB, which is gone again afterwards.
///
/// # Errors
/// When it does not: a full disk, a used-up quota, a file system that is mounted read-only, a folder of somebody else's.
pub fn takes_writes(folder: &Path) -> Result<()> {
    let attempt = || -> io::Result<()> {
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(&[0x5a; TRIAL])?;
        file.sync_all()
    };
    attempt().map_err(|error| refused("write to", folder, error))
}

/// That a folder's file system is mounted read-only; nothing when files can be made there, or cannot for another reason.
/// The mount's own flag does not tell: the kernel may have stopped writing after an error.
pub fn read_only(folder: &Path) -> Option<Fault> {
    let error = tempfile::tempfile_in(folder).err()?;
    (error.kind() == io::ErrorKind::ReadOnlyFilesystem).then(|| refused("write to", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_leaves_nothing_and_a_refusal_names_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        takes_writes(dir.path()).unwrap();
        assert!(!is_full(dir.path()) && !is_full(Path::new("/no/such/folder")));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(read_only(dir.path()).is_none() && read_only(Path::new("/proc/self")).is_none());
        assert!(takes_writes(Path::new("/proc/self")).unwrap_err().message.contains("/proc/self"));
    }
}
