//! The control groups of the lab's containers: all below one of the lab's own, in every hierarchy that the machine has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::{Layout, wait_for};

impl Layout {
    /// The group below which the engine puts its containers, as `--cgroup-parent` takes it.
    pub fn control_group(&self) -> String {
        let digest = hex(&Sha256::digest(self.root().as_os_str().as_encoded_bytes()));
        format!("/xr-lab-{}", &digest[..12])
    }
}

/// Removes what is left of the group when nothing runs in it any more.
pub(crate) fn sweep(layout: &Layout) -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    let own = layout.control_group();
    let own = Path::new(own.trim_start_matches('/'));
    let hierarchies = std::fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    for group in hierarchies.chain([top.to_owned()]).map(|hierarchy| hierarchy.join(own)).filter(|group| group.is_dir())
    {
        // killed processes leave their group a moment later
        wait_for("control groups to be empty", Duration::from_secs(30), || remove(&group).is_ok())?;
    }
    Ok(())
}

fn remove(group: &Path) -> std::io::Result<()> {
    let below: Vec<PathBuf> =
        std::fs::read_dir(group)?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    below.iter().try_for_each(|path| remove(path))?;
    std::fs::remove_dir(group)
}
