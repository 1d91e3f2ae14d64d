//! The engines that the lab can be: Debian's, of three suites, unpacked beside the machine's own and never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::shell::{patiently, step};
use crate::{cache, debian};

/// An engine with its command line, compose and what it needs to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineRelease {
    /// Its version, as `XR_LAB_ENGINE` and `--engine` name it.
    pub name: &'static str,
    /// Debian suites, and the packages that are unpacked from each.
    packages: &'static [(&'static str, &'static [&'static str])],
    /// Whether images are kept by containerd instead of the engine's own graph driver.
    pub containerd_store: bool,
}

const BOOKWORM: &[(&str, &[&str])] =
    &[("bookworm", &["docker.io", "containerd", "runc", "tini"]), ("trixie", &["docker-compose", "docker-buildx"])];
// The runc of newer suites wants a newer C library than bookworm has.
const TRIXIE: &[(&str, &[&str])] = &[
    ("bookworm", &["runc", "tini"]),
    ("trixie", &["docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx"]),
];
const FORKY: &[(&str, &[&str])] = &[
    ("bookworm", &["runc", "tini"]),
    ("forky", &["docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx"]),
];

/// All of them, oldest first; the first is the one that is taken when nobody asks for another.
pub const ENGINES: &[EngineRelease] = &[
    EngineRelease { name: "20.10", packages: BOOKWORM, containerd_store: false },
    EngineRelease { name: "26.1", packages: TRIXIE, containerd_store: false },
    EngineRelease { name: "26.1-containerd", packages: TRIXIE, containerd_store: true },
    EngineRelease { name: "28.5", packages: FORKY, containerd_store: false },
    EngineRelease { name: "28.5-containerd", packages: FORKY, containerd_store: true },
];

impl EngineRelease {
    /// The one of this name.
    ///
    /// # Errors
    /// When there is none; the message names them all.
    pub fn find(name: &str) -> Result<Self> {
        let names: Vec<&str> = ENGINES.iter().map(|engine| engine.name).collect();
        match ENGINES.iter().find(|engine| engine.name == name) {
            Some(engine) => Ok(*engine),
            None => bail!("the lab has no engine {name:?}; it has {}", names.join(", ")),
        }
    }

    /// What `XR_LAB_ENGINE` asks for, or else the first.
    pub(crate) fn from_env() -> Result<Self> {
        std::env::var("XR_LAB_ENGINE").map_or(Ok(ENGINES[0]), |name| Self::find(&name))
    }

    /// The folder that its packages are unpacked in, another one when they are others.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let recipe = hex(&Sha256::digest(format!("{:?}", self.packages)));
        let version = self.name.trim_end_matches("-containerd");
        Ok(cache::folder()?.join("engines").join(format!("{version}-{}", &recipe[..8])))
    }

    /// `PATH` with its programs before the machine's.
    pub(crate) fn path(&self) -> Result<String> {
        let folder = self.folder()?.display().to_string();
        let machine = std::env::var("PATH").unwrap_or_default();
        let own = format!("{folder}/usr/bin:{folder}/usr/sbin");
        Ok(if machine.starts_with(&own) { machine } else { format!("{own}:{machine}") })
    }

    /// Unpacks it, unless that has been done on this machine.
    pub(crate) fn unpack(&self) -> Result<()> {
        let folder = self.folder()?;
        if folder.exists() {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent)?;
        step(&format!("unpack engine {}", self.name), || {
            patiently(|| {
                let place = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent)?;
                let root = place.path().join("root");
                for (suite, packages) in self.packages {
                    debian::unpack(suite, packages, &place.path().join(suite), &root)?;
                }
                match std::fs::rename(&root, &folder) {
                    // somebody else was quicker
                    Err(_) if folder.exists() => Ok(()),
                    done => done.context("cannot put the engine into its place"),
                }
            })
        })
    }
}
