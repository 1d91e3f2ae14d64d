//! A small disk of its own under a folder of a stack, to be filled up or to fail.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use duct::cmd;

/// An ext4 file system on a loop device, mounted over a folder. Gone with its value.
pub struct Disk {
    at: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Puts a disk of so many MiB under `folder`, with what the folder holds on it. Its image is made in `place`.
    pub fn under(folder: &Path, mib: u64, place: &Path) -> Result<Self> {
        let disk = Self { at: folder.to_owned(), image: place.join("disk.img") };
        let stage = place.join("stage");
        sh(&format!(
            "mkdir -p {at} {stage}; truncate -s {mib}M {image}; mkfs.ext4 -q -m 0 {image}; \
             mount -o loop {image} {stage}; rmdir {stage}/lost+found; chmod --reference={at} {stage}; \
             cp -a {at}/. {stage}/; umount {stage}",
            at = disk.at.display(),
            stage = stage.display(),
            image = disk.image.display(),
        ))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<()> {
        sh(&format!("mount -o loop,errors=remount-ro {} {}", self.image.display(), self.at.display()))
    }

    /// Somebody else's bytes take all the room there is.
    pub fn fill(&self) -> Result<()> {
        // In pieces that get smaller: at once, and to the last block.
        let file = self.filler().display().to_string();
        sh(&format!(
            ": >> {file}; for size in 64M 16M 4M 1M 256K 64K 16K 4K; do \
                 while fallocate -o $(stat -c %s {file}) -l $size {file} 2>/dev/null; do :; done; \
             done"
        ))
    }

    /// They go again.
    pub fn clear(&self) -> Result<()> {
        sh(&format!("rm -f {}", self.filler().display()))
    }

    /// Where git does not see them.
    fn filler(&self) -> PathBuf {
        let git = self.at.join(".git");
        if git.is_dir() { git.join("filler") } else { self.at.join("filler") }
    }

    /// The disk has an error; the kernel mounts it read-only at once, whoever is writing.
    pub fn fail(&self) -> Result<()> {
        sh(&format!(
            "device=$(findmnt -nT {} -o SOURCE); echo 1 > /sys/fs/ext4/${{device##*/}}/trigger_fs_error",
            self.at.display()
        ))
    }

    /// What an admin does about it: unmount, check, mount.
    pub fn repair(&self) -> Result<()> {
        let (at, image) = (self.at.display(), self.image.display());
        // The kernel lets go of it once nobody's namespace has it mounted. 1: errors were corrected.
        sh(&format!(
            "umount {at}; for _ in $(seq 300); do [ -n \"$(losetup -j {image})\" ] || break; sleep 0.1; done; code=0; e2fsck -fy {image} >/dev/null 2>&1 || code=$?; test $code -le 1"
        ))?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = sh(&format!("umount -l {}", self.at.display()));
    }
}

fn sh(script: &str) -> Result<()> {
    let output = cmd!("sh", "-ec", script).stderr_to_stdout().stdout_capture().unchecked().run()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
