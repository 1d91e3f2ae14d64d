//! What a killed run has left lying about on the disk and nobody will ever ask for.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use xr_journal::{Generations, remove_broken_off};
use xr_session::Session;

/// Removes the temporary files of writes that were killed, wherever xr writes. The caller holds the lock.
pub fn remove(session: &Session<'_>) {
    let layout = &session.stack.layout;
    let files = [layout.env_path(), layout.version_path(), session.home.site()];
    let mut folders: BTreeSet<PathBuf> = files.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.extend([session.root.clone(), layout.directory_path()]);
    if let Ok(Some(generation)) = session.generations.current() {
        folders.extend(origins(&session.generations, &session.root, generation.number));
    }
    folders.iter().for_each(|folder| remove_broken_off(folder));
}

/// The folders of the stack at `root` that a generation keeps files of: they are put back where they came from.
fn origins(generations: &Generations, root: &Path, number: u32) -> Vec<PathBuf> {
    let kept = xr_session::root_in(generations, root, number);
    let mut folders = Vec::new();
    below(&kept, &mut |folder| folders.extend(folder.strip_prefix(&kept).ok().map(|path| root.join(path))));
    folders
}

/// Calls `each` with every folder at and below this one; links are not followed.
fn below(folder: &Path, each: &mut dyn FnMut(&Path)) {
    each(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&entry.path(), each);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use xr_journal::Home;

    use super::*;

    #[test]
    fn what_a_generation_keeps_came_from_folders_at_any_depth_and_from_none_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("orbit"), dir.path().join("elsewhere"));
        let generations = Generations::of(&Home::of(&root));
        let kept = generations.files(3).join("orbit");
        fs::create_dir_all(kept.join("docker/nginx/conf.d")).unwrap();
        fs::create_dir_all(elsewhere.join("below")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, kept.join("docker/link")).unwrap();

        let mut folders = origins(&generations, &root, 3);
        folders.sort();
        let expected = ["", "docker", "docker/nginx", "docker/nginx/conf.d"].map(|path| root.join(path));
        assert_eq!(folders, expected);
    }
}
