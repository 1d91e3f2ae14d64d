//! Where xr writes: the tree, `.env`, its own records. They may be on different disks, each of which may be full or fail.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Bytes that `.xr/`, the tree and `.env` may need.
pub const STACK_DISK: u64 = 64 << 20;

/// One folder for each disk that xr writes to, the stack's first: `.env`'s folder or `.xr/` may be a mount, or a link.
pub fn disks(root: &Path, env: Option<&Path>, home: &Path) -> Vec<PathBuf> {
    let env = env.and_then(Path::parent);
    let mut seen = Vec::new();
    let mut folders = Vec::new();
    for folder in [Some(root), env, Some(home)].into_iter().flatten() {
        let Ok(disk) = fs::metadata(folder).map(|meta| meta.dev()) else { continue };
        if !seen.contains(&disk) {
            seen.push(disk);
            folders.push(folder.to_owned());
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_for_each_disk() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(".xr")).unwrap();
        fs::create_dir(root.path().join("docker")).unwrap();
        let env = root.path().join("docker/.env");
        assert_eq!(disks(root.path(), Some(&env), &root.path().join(".xr")), [root.path()]);
        assert_eq!(disks(root.path(), None, Path::new("/no/such/.xr")), [root.path()], "there is nothing yet");
        assert_eq!(disks(root.path(), Some(Path::new("/proc/.env")), root.path()), [root.path(), Path::new("/proc")]);
    }
}
