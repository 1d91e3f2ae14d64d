//! What a `git fetch` leaves in the clone when it is ended: packs half-written, as large as what was to come. Git itself
//! takes them away after two weeks, if anybody ever runs `git gc`.

use std::{collections::BTreeSet, fs, path::PathBuf, time::SystemTime};

use crate::Checkout;

impl Checkout {
    /// Removes the packs half-written since `begun` that no process has open.
    pub(crate) fn sweep_packs(&self, begun: SystemTime) {
        let entries = fs::read_dir(self.common_dir.join("objects/pack")).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp_"));
        let ours = ours.filter(|entry| entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at >= begun));
        let packs: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
        if packs.is_empty() {
            return;
        }
        let open = open_files();
        for pack in packs.iter().filter(|pack| fs::canonicalize(pack).is_ok_and(|path| !open.contains(&path))) {
            // Left over, it is in nobody's way.
            let _ = fs::remove_file(pack);
        }
    }
}

/// Every file that a process has open, as far as this user may know.
fn open_files() -> BTreeSet<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let files = processes.flat_map(|process| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    files.filter_map(|file| fs::read_link(file.path()).ok()).collect()
}
