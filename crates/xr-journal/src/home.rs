//! The names of everything under `.xr/`.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use xr_model::{Fault, Result};

use crate::{create_private_dir, refusal::refused};

/// A stack's `.xr/` folder.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// The `.xr/` of a stack, whether it exists or not.
    pub fn of(stack: &Path) -> Self {
        Self { dir: stack.join(".xr") }
    }

    /// Refuses a `.xr` that is a symbolic link: a publisher's tree can bring one, and xr would write where it leads.
    ///
    /// # Errors
    /// When it is one.
    pub fn refuse_link(&self) -> Result<()> {
        // Folders and files whose content counts: an unpacked bundle must not say whose it is.
        const BELOW: [&str; 7] = ["runs", "ssh", "keyring", "parcels", "site.toml", "current", "lock"];
        let folders = [self.dir.clone(), self.journals(), self.generations(), self.backups(), self.logs()];
        let all = folders.into_iter().chain(BELOW.map(|name| self.dir.join(name)));
        match all.into_iter().find(|path| path.is_symlink()) {
            None => Ok(()),
            Some(path) => Err(Fault::new(format!(
                "{} is a symbolic link: xr's records are not written through one",
                path.display()
            ))
            .hint(format!(
                "ls -l {0}; rm {0}   # to have the records on another disk, mount it there (mount --bind)",
                xr_model::shell(&path)
            ))),
        }
    }

    /// Makes the folder (0700), with a `.gitignore` that hides it from git.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<()> {
        for dir in
            [self.dir.clone(), self.journals(), self.generations(), self.dir.join("runs"), self.backups(), self.logs()]
        {
            create_private_dir(&dir)?;
        }
        self.hide_from_git()
    }

    /// Written in place: a run that is killed here leaves nothing that nobody sweeps up yet, and an empty one is written again.
    fn hide_from_git(&self) -> Result<()> {
        let ignore = self.dir.join(".gitignore");
        if fs::metadata(&ignore).is_ok_and(|there| there.len() > 0) {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&ignore)?;
            let folder = fs::metadata(&self.dir)?;
            if rustix::process::geteuid().is_root() && folder.uid() != 0 {
                std::os::unix::fs::fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
            }
            file.write_all(b"*\n")
        };
        write().map_err(|error| refused("write", &ignore, error))
    }

    /// Whether xr has ever worked here.
    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// `journal/`: one file for each run.
    pub fn journals(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// `generations/`.
    pub fn generations(&self) -> PathBuf {
        self.dir.join("generations")
    }

    /// `runs/<id>/`: files as they stood before that run.
    pub fn run(&self, id: &str) -> PathBuf {
        self.dir.join("runs").join(id)
    }

    /// `backups/`.
    pub fn backups(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// `log/`.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The admin's own settings.
    pub fn site(&self) -> PathBuf {
        self.dir.join("site.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_not_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (stack, elsewhere) = (dir.path().join("stack"), dir.path().join("elsewhere"));
        std::fs::create_dir_all(&stack).unwrap();
        std::fs::create_dir_all(&elsewhere).unwrap();
        let home = Home::of(&stack);
        home.refuse_link().unwrap();
        std::os::unix::fs::symlink(&elsewhere, stack.join(".xr")).unwrap();
        let fault = home.refuse_link().unwrap_err();
        assert!(fault.message.contains(".xr is a symbolic link") && fault.hint.is_some());
        std::fs::remove_file(stack.join(".xr")).unwrap();
        home.create().unwrap();
        std::fs::remove_dir(stack.join(".xr/log")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, stack.join(".xr/log")).unwrap();
        assert!(home.refuse_link().unwrap_err().message.contains(".xr/log is a symbolic link"));
    }
}
