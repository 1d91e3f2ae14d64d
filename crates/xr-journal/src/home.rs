//! The names of everything under `.xr/`.

use std::path::{Path, PathBuf};

use xr_model::Result;

use crate::create_private_dir;

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
        let ignore = self.dir.join(".gitignore");
        if !ignore.exists() {
            crate::write_atomic(&ignore, b"*\n", 0o600, crate::Ownership::Keep)?;
        }
        Ok(())
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
