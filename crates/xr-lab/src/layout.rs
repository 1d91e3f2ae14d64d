//! Where a lab keeps its things. All of it may be deleted when the lab is down; it is then built again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The lab's directory: `.lab/` in the workspace, or `XR_LAB_DIR`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A lab in this directory, which is made if it is missing.
    pub fn at(root: &Path) -> Result<Self> {
        for part in ["run", "log", "built", "remotes", "home"] {
            let dir = root.join(part);
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let root = root.canonicalize().with_context(|| format!("no such directory: {}", root.display()))?;
        Ok(Self { root })
    }

    /// `XR_LAB_DIR`, or `.lab/` in the workspace.
    pub fn from_env() -> Result<Self> {
        match std::env::var_os("XR_LAB_DIR") {
            Some(dir) => Self::at(Path::new(&dir)),
            None => Self::at(&Self::workspace().join(".lab")),
        }
    }

    /// The workspace that this crate was built in.
    pub fn workspace() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/"))
    }

    /// The example product's tree.
    pub fn example() -> PathBuf {
        Self::workspace().join("examples/orbit")
    }

    /// A file or directory inside the lab.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The lab's directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.join("run/docker.sock")
    }

    /// What a running lab says about itself.
    pub fn record(&self) -> PathBuf {
        self.join("lab.json")
    }
}
