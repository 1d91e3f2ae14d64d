//! What a `git fetch` leaves in the clone when it is ended: packs half-written, as large as what was to come. Git itself
//! takes them away after two weeks, if anybody ever runs `git gc`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::Checkout;

impl Checkout {
    /// Removes the packs half-written since `begun`, and the folders of objects that were not taken over, that no process
    /// has open.
    pub(crate) fn sweep_packs(&self, begun: SystemTime) {
        let objects = self.common_dir.join("objects");
        let left: Vec<PathBuf> = [(objects.join("pack"), "tmp_"), (objects, "tmp_objdir-")]
            .into_iter()
            .flat_map(|(folder, prefix)| since(&folder, prefix, begun))
            .collect();
        if left.is_empty() {
            return;
        }
        let open = open_files();
        let in_use = |path: &PathBuf| {
            fs::canonicalize(path)
                .is_ok_and(|real| open.range(real.clone()..).next().is_some_and(|one| one.starts_with(&real)))
        };
        for path in left.iter().filter(|path| !in_use(path)) {
            // Left over, it is in nobody's way.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

/// What in a folder begins with this and was last changed since then.
fn since(folder: &Path, prefix: &str, begun: SystemTime) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let ours = ours.filter(|entry| entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at >= begun));
    ours.map(|entry| entry.path()).collect()
}

/// Every file that a process has open, as far as this user may know.
fn open_files() -> BTreeSet<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let files = processes.flat_map(|process| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    files.filter_map(|file| fs::read_link(file.path()).ok()).collect()
}
