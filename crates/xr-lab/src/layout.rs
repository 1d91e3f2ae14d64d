//! Where a lab keeps its things. All of it may be deleted when the lab is down; it is then built again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{ENGINES, EngineRelease};

/// The lab's directory: `.lab/` in the workspace, or `XR_LAB_DIR`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    engine: EngineRelease,
}

impl Layout {
    /// A lab in this directory, which is made if it is missing, with the engine that `XR_LAB_ENGINE` names.
    pub fn at(root: &Path) -> Result<Self> {
        Self::of(root, EngineRelease::from_env()?)
    }

    fn of(root: &Path, engine: EngineRelease) -> Result<Self> {
        for part in ["run", "log", "built", "remotes", "home"] {
            let dir = root.join(part);
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let root = root.canonicalize().with_context(|| format!("no such directory: {}", root.display()))?;
        Ok(Self { root, engine })
    }

    /// `XR_LAB_DIR`, or `.lab/` in the workspace; in it a folder of its own for each engine but the usual one.
    pub fn from_env() -> Result<Self> {
        Self::with(EngineRelease::from_env()?)
    }

    /// As [`Layout::from_env`], for this engine.
    pub fn with(engine: EngineRelease) -> Result<Self> {
        let root = std::env::var_os("XR_LAB_DIR").map_or_else(|| Self::workspace().join(".lab"), PathBuf::from);
        if engine == ENGINES[0] { Self::of(&root, engine) } else { Self::of(&root.join(engine.name), engine) }
    }

    /// The engine that runs in it.
    pub fn engine(&self) -> EngineRelease {
        self.engine
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
