//! Owners and modes of files in a folder that somebody else can write while root works there: no link that leads out of the stack
//! is followed, whenever it was put there.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, Uid, chownat, fchmod, openat};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Gives a file, or a folder with all below it, to this user and group.
///
/// # Errors
/// When a link leads out of the stack, or this user may not.
pub(super) fn give(root: &Path, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (folder, name) = stands_in(root, path)?;
    give_below(&folder, name, (Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Sets the permission bits of a file or folder.
///
/// # Errors
/// As [`give`].
pub(super) fn set_mode(root: &Path, path: &Path, mode: u32) -> io::Result<()> {
    // Settings may be a link to another file of the stack.
    let path = &path.canonicalize()?;
    let (folder, name) = stands_in(root, path)?;
    // What can be written in can be a pipe, on which an open would wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

/// The folder that it stands in, opened from `root` on, and its name there. What leads out of `root` is refused; links within it
/// are followed once, and whoever puts one there afterwards only makes this fail.
fn stands_in<'a>(root: &Path, path: &'a Path) -> io::Result<(OwnedFd, &'a Path)> {
    let name = Path::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    let root = root.canonicalize()?;
    let parent = path.parent().unwrap_or(Path::new("/")).canonicalize()?;
    let out = |_| io::Error::new(io::ErrorKind::PermissionDenied, "a link leads out of the stack");
    let below = parent.strip_prefix(&root).map_err(out)?;
    let begin = openat(CWD, &root, FOLDER, Mode::empty())?;
    let folder =
        below.components().try_fold(begin, |folder, part| openat(folder, part.as_os_str(), FOLDER, Mode::empty()))?;
    Ok((folder, name))
}

fn give_below(folder: &OwnedFd, name: &Path, to: (Uid, Gid)) -> io::Result<()> {
    chownat(folder, name, Some(to.0), Some(to.1), AtFlags::SYMLINK_NOFOLLOW)?;
    let below = match openat(folder, name, FOLDER, Mode::empty()) {
        Ok(below) => below,
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in Dir::read_from(&below)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            give_below(&below, Path::new(OsStr::from_bytes(name.to_bytes())), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "writes the files that are looked at")]
    fn no_link_that_leads_out_of_the_stack_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, away) = (dir.path().join("stack"), dir.path().join("away"));
        fs::create_dir_all(root.join("git/objects")).unwrap();
        fs::create_dir(&away).unwrap();
        fs::write(root.join("git/objects/one"), "").unwrap();
        fs::write(away.join("secret"), "").unwrap();
        fs::set_permissions(away.join("secret"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&away, root.join("git/away")).unwrap();
        symlink(&away, root.join("swapped")).unwrap();
        symlink(away.join("secret"), root.join("env")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

        // Only root can give files away; to oneself anybody can, and the walk is the same.
        let me = fs::metadata(&root).unwrap();
        let to = if me.uid() == 0 { (4321, 4322) } else { (me.uid(), me.gid()) };
        give(&root, &root.join("git"), to.0, to.1).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.uid(), meta.gid())).unwrap();
        for given in ["git", "git/objects", "git/objects/one", "git/away"] {
            assert_eq!(owner(&root.join(given)), to, "{given}");
        }
        assert_eq!(owner(&away.join("secret")), (me.uid(), me.gid()));

        assert!(give(&root, &root.join("swapped/secret"), to.0, to.1).is_err());
        assert!(set_mode(&root, &root.join("swapped/secret"), 0o600).is_err());
        assert!(set_mode(&root, &root.join("env"), 0o600).is_err());
        assert_eq!(mode(&away.join("secret")), 0o640);
        symlink("git/objects/one", root.join("inside")).unwrap();
        set_mode(&root, &root.join("inside"), 0o600).unwrap();
        assert_eq!(mode(&root.join("git/objects/one")), 0o600);
    }
}
