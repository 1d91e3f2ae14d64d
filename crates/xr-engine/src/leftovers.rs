//! What a killed run has left lying about on the disk and nobody will ever ask for.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use xr_journal::remove_broken_off;

use crate::{World, staging};

/// Removes the temporary files of writes that were killed, wherever xr writes. The caller holds the lock.
pub(crate) fn remove(world: &World<'_>) {
    let layout = &world.stack.layout;
    let files = [layout.env_path(), layout.version_path(), world.home.site()];
    let mut folders: BTreeSet<PathBuf> = files.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.extend([world.root.clone(), layout.directory_path()]);
    // What a generation keeps is put back where it came from.
    if let Ok(Some(generation)) = world.generations.current() {
        let kept = staging::root_of(world, generation.number);
        below(&kept, &mut |folder| {
            folders.extend(folder.strip_prefix(&kept).ok().map(|path| world.root.join(path)));
        });
    }
    folders.iter().for_each(|folder| remove_broken_off(folder));
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
