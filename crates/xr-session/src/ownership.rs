//! Whose containers they are. Compose names a project after its folder, so two clones on one engine easily share a name:
//! the folder that a container was made from tells.

use std::path::{Path, PathBuf};

use xr_journal::Home;
use xr_model::Container;

/// The containers that no foreign project of the same name has made: `ours` is compose's folder of the stack at `root`.
pub fn without_foreign(mut containers: Vec<Container>, root: &Path, ours: &Path) -> Vec<Container> {
    containers.retain(|container| !is_foreign(&container.folder, root, ours));
    containers
}

/// Whether a container's folder is another one that exists. One that is gone was moved here, and one in the stack that a
/// generation has its compose files in is where a release has moved them from or to.
pub fn is_foreign(folder: &str, root: &Path, ours: &Path) -> bool {
    let path = Path::new(folder);
    let own = || path.starts_with(root) && own_folders(root).any(|own| same(path, &own));
    !folder.is_empty() && path.is_dir() && !same(path, ours) && !own()
}

/// Where the generations of the stack at `root` have their compose files, that of a run under way among them.
fn own_folders(root: &Path) -> impl Iterator<Item = PathBuf> {
    let name = root.file_name().unwrap_or_default();
    let kept = std::fs::read_dir(Home::of(root).generations()).into_iter().flatten().flatten();
    let stacks = kept.filter_map(move |kept| xr_stack::load(&kept.path().join("files").join(name)).ok());
    stacks.map(move |stack| root.join(stack.layout.directory))
}

/// Whether two paths are one folder that exists.
pub fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests set up stacks")]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_a_release_has_moved_its_compose_files_from_or_to_is_ours_and_a_second_stacks_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("shop");
        let write = |folder: PathBuf| {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("compose.yaml"), "services: {web: {image: web}}\n").unwrap();
        };
        write(root.join(".xr/generations/1/files/shop/docker"));
        write(root.join(".xr/generations/2/files/shop/deploy"));
        for folder in ["docker", "deploy", "ops"] {
            write(root.join(folder));
        }
        let theirs = |folder: &str| is_foreign(&root.join(folder).to_string_lossy(), &root, &root.join("docker"));
        assert!(!theirs("docker") && !theirs("deploy") && theirs("ops"));
    }
}
