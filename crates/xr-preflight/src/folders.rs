//! Folders a product expects to find, with their mode and owner from the moment they exist.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use xr_model::{Fault, Result};

/// A folder that shall exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Permissions, whatever the umask: `0o755`.
    pub mode: u32,
    /// Owner; `None`: whoever runs xr.
    pub uid: Option<u32>,
    /// Group; `None`: the group of whoever runs xr.
    pub gid: Option<u32>,
}

/// Makes those that are missing, and tells which those were. A folder that exists keeps its mode and owner: they are
/// the admin's. A new one appears under its name only when mode and owner are right.
///
/// # Errors
/// When something else has the name, or the folder cannot be made; those made before it stay.
pub fn ensure(folders: &[Folder]) -> Result<Vec<PathBuf>> {
    let mut created = Vec::new();
    for folder in folders {
        if make(folder)? {
            created.push(folder.path.clone());
        }
    }
    Ok(created)
}

fn make(folder: &Folder) -> Result<bool> {
    let path = &folder.path;
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Ok(false),
        Ok(_) => {
            return Err(Fault::new(format!("{} is to be a folder, but a file has that name", path.display()))
                .hint(format!("mv {0} {0}.old", xr_model::shell(&path))));
        }
        Err(_) if path.is_symlink() => {
            return Err(Fault::new(format!("{} is a link to a folder that does not exist", path.display()))
                .hint(format!("mkdir -p \"$(readlink -m {})\"", xr_model::shell(&path))));
        }
        Err(_) => {}
    }
    place(folder).map_err(|error| {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let fault = Fault::new(format!("cannot make the folder {}", path.display())).because(error);
        if denied { fault.hint("run xr with sudo") } else { fault }
    })?;
    Ok(true)
}

fn place(folder: &Folder) -> io::Result<()> {
    let path = &folder.path;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    let new = parent.join(format!(".{name}.xr-new"));
    match DirBuilder::new().mode(0o700).create(&new) {
        // Left behind by a run that was killed; a link was left by somebody else.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(&new)?.is_dir() => {}
        other => other?,
    }
    chown(&new, folder.uid, folder.gid)?;
    fs::set_permissions(&new, Permissions::from_mode(folder.mode))?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn folder(path: PathBuf, mode: u32) -> Folder {
        Folder { path, mode, uid: None, gid: None }
    }

    #[test]
    fn missing_folders_are_made_once_with_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = [folder(dir.path().join("opt/app/results"), 0o777), folder(dir.path().join("opt/app"), 0o750)];
        assert_eq!(ensure(&wanted).unwrap(), vec![wanted[0].path.clone()]);
        assert_eq!(fs::metadata(&wanted[0].path).unwrap().mode() & 0o7777, 0o777);
        assert_eq!(ensure(&wanted).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(dir.path().join("opt/app")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_exists_stays_as_the_admin_made_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o710)).unwrap();
        assert!(ensure(&[folder(dir.path().to_owned(), 0o777)]).unwrap().is_empty());
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o710);
    }

    #[test]
    fn owner_and_group_are_set_when_asked() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        ensure(&[Folder { path: path.clone(), mode: 0o700, uid: Some(1234), gid: Some(4321) }]).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 4321));
    }

    #[test]
    fn what_a_killed_run_left_half_made_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".logs.xr-new")).unwrap();
        assert_eq!(ensure(&[folder(dir.path().join("logs"), 0o755)]).unwrap().len(), 1);
    }

    #[test]
    fn a_file_or_a_dead_link_in_the_way_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::File::create(&file).unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [file, link] {
            let fault = ensure(&[folder(path.clone(), 0o755)]).unwrap_err();
            assert!(fault.message.contains(path.to_str().unwrap()) && fault.hint.is_some());
        }
    }
}
