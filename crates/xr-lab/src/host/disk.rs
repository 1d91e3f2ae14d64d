//! A small disk for a host's Docker: ext4 in a file, on a loop device of this machine. What fills it fills nothing else.

use std::path::PathBuf;

use anyhow::Result;
use duct::cmd;

use crate::Layout;
use crate::shell::run;

/// Unmounted and deleted when dropped.
#[derive(Debug)]
pub(super) struct Disk {
    at: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// An empty one, in place of what a killed test may have left under this name.
    pub fn make(layout: &Layout, name: &str, mib: u32) -> Result<Self> {
        let at = layout.join("disks").join(name);
        let disk = Self { image: at.with_extension("img"), at };
        disk.unmount();
        std::fs::create_dir_all(&disk.at)?;
        std::fs::File::create(&disk.image)?.set_len(u64::from(mib) << 20)?;
        run("mkfs.ext4", cmd!("mkfs.ext4", "-q", "-m", "0", &disk.image))?;
        run("mount", cmd!("mount", "-o", "loop", &disk.image, &disk.at))?;
        Ok(disk)
    }

    /// For `docker create`.
    pub fn option(&self) -> String {
        format!("--volume={}:/var/lib/docker", self.at.display())
    }

    fn unmount(&self) {
        let _ = cmd!("umount", "-l", &self.at).stderr_null().unchecked().run();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_dir(&self.at);
    }
}
