//! Files that are wholly old or wholly new, private from the moment they exist, and their owner's.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use xr_model::{Fault, Result};

use crate::refusal::refused;

/// Who shall own a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The present file's owner; for a new file, the owner of its folder.
    Keep,
    /// This user and group.
    Is(u32, u32),
}

/// What the name of a temporary file ends with.
const TEMPORARY: &str = ".xr-new";

/// Writes `bytes` to `path` by a temporary file beside it, fsync, rename and fsync of the folder.
///
/// The temporary file has `mode` before it has content. A symbolic link at `path` is followed, so that the link stays
/// and its target is replaced.
///
/// # Errors
/// When the folder is not writable or the disk is full: the fault names `path`, which is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32, ownership: Ownership) -> Result<()> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    try_write(&real, bytes, mode, ownership).map_err(|error| refused("write", path, error))
}

fn try_write(path: &Path, bytes: &[u8], mode: u32, ownership: Ownership) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let mut temporary = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(TEMPORARY)
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    let (uid, gid) = match ownership {
        Ownership::Is(uid, gid) => (uid, gid),
        Ownership::Keep => fs::metadata(path).or_else(|_| fs::metadata(folder)).map(|m| (m.uid(), m.gid()))?,
    };
    let file = temporary.as_file_mut();
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (uid, gid) && rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&*file, Some(uid), Some(gid))?;
    }
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes from a folder the temporary files of writes that were killed. The caller holds the stack's lock: nobody writes now.
///
/// What cannot be removed stays: it is in nobody's way.
pub fn remove_broken_off(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(TEMPORARY));
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Has everything that was written to a folder's file system on the disk when it returns: what other programs wrote there
/// (git's files) must outlive a power cut as surely as the record that says that it was done.
///
/// # Errors
/// When the disk refuses it.
pub fn sync_disk(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| rustix::fs::syncfs(&folder).map_err(io::Error::from));
    synced.map_err(|error| refused("write to the disk of", folder, error))
}

/// Makes a folder, and those above it, that only its owner can enter (0700); owned like the folder it stands in.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_private_dir(parent)?;
    let make = || -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => other?,
        }
        let above = fs::metadata(parent)?;
        if rustix::process::geteuid().is_root() && above.uid() != 0 {
            std::os::unix::fs::chown(path, Some(above.uid()), Some(above.gid()))?;
        }
        // Without that a power cut may leave what is in it and not the folder.
        File::open(parent)?.sync_all()
    };
    make().map_err(|error| {
        let fault = refused("make", path, error);
        let look = format!("ls -ld {}; run xr as its owner, or with sudo", xr_model::shell(parent));
        Fault { hint: fault.hint.or(Some(look)), ..fault }
    })
}

/// Opens a private file (0600) for appending.
pub(crate) fn open_append(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    give_to_folders_owner(&file, path)?;
    Ok(file)
}

/// Under sudo, what is made in a user's folder is the user's.
///
/// # Errors
/// When the folder cannot be looked at or the file not be given away.
pub fn give_to_folders_owner(file: &File, path: &Path) -> io::Result<()> {
    let folder = path.parent().map(fs::metadata).transpose()?;
    match folder {
        Some(folder) if rustix::process::geteuid().is_root() && file.metadata()?.uid() != folder.uid() => {
            std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the files that are found")]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_has_its_mode_and_content_and_leaves_no_trace_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        write_atomic(&path, b"A=1\n", 0o600, Ownership::Keep).unwrap();
        write_atomic(&path, b"A=2\n", 0o600, Ownership::Keep).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"A=2\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_write_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["..env.Ab12Cd.xr-new", ".env", "notes.xr-new", ".env.new"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join(".folder.xr-new")).unwrap();
        remove_broken_off(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".env", ".env.new", ".folder.xr-new", "notes.xr-new"]);
    }

    #[test]
    fn a_new_file_belongs_to_the_owner_of_its_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(12345), Some(12345)).unwrap();
        let path = dir.path().join("VERSION");
        write_atomic(&path, b"v1\n", 0o644, Ownership::Keep).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 12345);
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::File::create(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomic(&link, b"x", 0o600, Ownership::Keep).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"x");
    }

    #[test]
    fn a_folder_that_refuses_is_named() {
        let fault = write_atomic(Path::new("/proc/xr-test/file"), b"", 0o600, Ownership::Keep).unwrap_err();
        assert!(fault.message.contains("/proc/xr-test/file"));
    }
}
