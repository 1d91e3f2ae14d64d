//! Modes and owners. In a user's clone, files that belong to somebody else come from a `sudo git pull`.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use xr_journal::{Home, read_only};
use xr_model::{Fault, Result};

use crate::facts::{Place, Trouble};

/// Enough to say that something is wrong; the repair goes through all of it.
const ENOUGH: usize = 10_000;

pub(super) fn owner(root: &Path) -> Result<(u32, u32)> {
    fs::metadata(root)
        .map(|meta| (meta.uid(), meta.gid()))
        .map_err(|error| Fault::new(format!("cannot read {}", root.display())).because(error).hint("xr --stack DIR …"))
}

/// Private files, files in the clone that are not its owner's, file systems that are mounted read-only.
pub(super) fn read(
    root: &Path,
    env: Option<&Path>,
    home: &Home,
    owner: (u32, u32),
    disks: &[PathBuf],
) -> (Vec<Place>, Vec<PathBuf>, Vec<Trouble>) {
    let private = [(env.map(Path::to_owned), 0o600), (Some(home.path().to_owned()), 0o700), (Some(home.lock()), 0o600)];
    let places = private.into_iter().filter_map(|(path, wanted)| {
        let path = path?;
        let meta = fs::metadata(&path).ok()?;
        Some(Place { path, mode: meta.mode() & 0o7777, wanted, uid: meta.uid() })
    });
    let read_only = disks.iter().filter_map(|folder| read_only(folder).map(Trouble::from));
    (places.collect(), foreign(&root.join(".git"), owner.0), read_only.collect())
}

/// Git's own files and folders, down to the folders of objects; the objects themselves are read-only and do not matter.
fn foreign(git: &Path, owner: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![git.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.uid() != owner {
                found.push(entry.path());
            }
            let objects = folder.ends_with("objects") && folder.parent() == Some(git);
            if meta.is_dir() && !objects && seen < ENOUGH {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_user_in_git_are_found_but_objects_are_not_walked() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        for folder in ["objects/ab", "refs/heads"] {
            fs::create_dir_all(git.join(folder)).unwrap();
        }
        for file in ["HEAD", "refs/heads/main", "objects/ab/cdef"] {
            fs::File::create(git.join(file)).unwrap();
        }
        assert_eq!(foreign(&git, 0), Vec::<PathBuf>::new());
        for file in ["refs/heads/main", "objects/ab", "objects/ab/cdef"] {
            std::os::unix::fs::chown(git.join(file), Some(4242), None).unwrap();
        }
        assert_eq!(foreign(&git, 0), [git.join("objects/ab"), git.join("refs/heads/main")]);
    }
}
