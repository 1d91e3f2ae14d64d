//! The whole lab: up, attached to, and down again without a trace.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::shell::step;
use crate::{Base, Daemon, Engine, GitRemote, Host, HostKind, HostSpec, Layout, RELEASES, Registry, Release};
use crate::{build_base, build_release, product, setup};

const FORMAT: u32 = 1;

/// What a running lab says about itself in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Version of this record.
    pub format: u32,
    /// `DOCKER_HOST` of the lab's engine.
    pub docker_host: String,
    /// The registry as this machine reaches it; the engine mirrors Docker Hub's names from it.
    pub registry: String,
    /// The registry as hosts and containers reach it.
    pub registry_for_hosts: String,
    /// The bare git repository with all releases.
    pub git_remote: PathBuf,
    /// Version of the engine.
    pub engine: String,
    /// Version of compose.
    pub compose: String,
    /// What runs in the background.
    pub daemons: Vec<Daemon>,
}

/// A running lab. The one that started it takes it down when dropped, also on a panic.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    engine: Engine,
    registry: Registry,
    owned: bool,
}

impl Lab {
    /// Starts a lab in `dir`, after clearing away what a killed one may have left there. Builds what is missing.
    pub fn up(dir: &Path) -> Result<Self> {
        let layout = Layout::at(dir)?;
        let _lock = lock(&layout)?;
        Self::up_locked(&layout)
    }

    /// The lab that already runs in `dir`.
    pub fn attach(dir: &Path) -> Result<Self> {
        let layout = Layout::at(dir)?;
        Self::attach_to(&layout)?.with_context(|| format!("no lab runs in {}", layout.root().display()))
    }

    /// The lab of this workspace: the one that runs, or else a new one, which is left running for the tests after this one.
    /// Tests in many processes share it; `cargo xtask test` or `cargo xtask lab down` ends it.
    pub fn attach_or_up() -> Result<Self> {
        let layout = Layout::from_env()?;
        let _lock = lock(&layout)?;
        match Self::attach_to(&layout)? {
            Some(lab) => Ok(lab),
            None => Ok(Self::up_locked(&layout)?.detach()),
        }
    }

    /// Keeps the lab running when this value is dropped.
    pub fn detach(mut self) -> Self {
        self.owned = false;
        self
    }

    /// Takes down whatever runs in `dir`: containers, volumes, networks, daemons, mounts, bridge. Images are kept.
    pub fn down(dir: &Path) -> Result<()> {
        let layout = Layout::at(dir)?;
        let _lock = lock(&layout)?;
        down(&layout)
    }

    /// The lab's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The lab's registry, which its engine and its hosts use as a mirror of Docker Hub.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// One more registry, empty and running; stop it when the test ends.
    pub fn second_registry(&self, name: &str) -> Result<Registry> {
        let registry = Registry::open(&self.layout, &format!("registry-{name}"))?;
        registry.start()?;
        Ok(registry)
    }

    /// A git remote of one's own with these versions, in this order.
    pub fn remote(&self, versions: &[&str]) -> Result<GitRemote> {
        GitRemote::temporary(&self.layout, versions)
    }

    /// A git remote that stays until the lab is built anew, made anew by each call.
    pub fn lasting_remote(&self, name: &str, versions: &[&str]) -> Result<GitRemote> {
        GitRemote::persistent(&self.layout, &self.layout.join("remotes").join(name), versions)
    }

    /// A host of one's own. Hosts of different tests need different names.
    pub fn host(&self, kind: HostKind, name: &str) -> Result<Host> {
        self.host_of(&HostSpec::of(kind), name)
    }

    /// A host with more said about it.
    pub fn host_of(&self, spec: &HostSpec<'_>, name: &str) -> Result<Host> {
        {
            // the first use of a kind builds its image: once, however many tests want it
            let _lock = lock_file(&self.layout, "hosts.lock")?;
            build_base(&self.layout, &self.engine, &self.registry, spec.kind.base())?;
        }
        Host::start(&self.layout, &self.engine, &self.registry, spec, name)
    }

    /// Pushes a release's images under another prefix, for a test that is going to break them (`IMAGE_PREFIX` in `.env`).
    pub fn publish_as(&self, version: &str, prefix: &str) -> Result<()> {
        product::publish_as(&self.engine, &self.registry, Release::find(version)?, prefix)
    }

    /// Builds the images of hosts too, so that no test has to wait for them.
    pub fn build_hosts(&self) -> Result<()> {
        for base in [Base::HostFresh, Base::HostDocker, Base::HostBookworm] {
            build_base(&self.layout, &self.engine, &self.registry, base)?;
        }
        Ok(())
    }

    /// What `lab.json` says.
    pub fn record(&self) -> Result<Record> {
        let path = self.layout.record();
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))
    }

    fn attach_to(layout: &Layout) -> Result<Option<Self>> {
        if !layout.record().exists() {
            return Ok(None);
        }
        let registry = Registry::open(layout, "registry")?;
        let engine = Engine::new(layout, &registry)?;
        if !engine.answers() {
            return Ok(None);
        }
        let lab = Self { layout: layout.clone(), engine, registry, owned: false };
        let format = lab.record()?.format;
        if format != FORMAT {
            bail!("the running lab speaks format {format}, this one {FORMAT}: take it down first");
        }
        Ok(Some(lab))
    }

    fn up_locked(layout: &Layout) -> Result<Self> {
        down(layout)?;
        setup(layout)?;
        let registry = Registry::open(layout, "registry")?;
        let engine = Engine::new(layout, &registry)?;
        let lab = Self { layout: layout.clone(), engine, registry, owned: true };
        step("start registry and engine", || {
            lab.registry.start()?;
            lab.engine.start()?;
            lab.engine.clear()
        })?;
        for base in Base::SERVICES {
            build_base(layout, &lab.engine, &lab.registry, base)?;
        }
        for release in RELEASES {
            build_release(layout, &lab.engine, &lab.registry, release)?;
        }
        lab.write_record()?;
        Ok(lab)
    }

    fn write_record(&self) -> Result<()> {
        let versions: Vec<&str> = RELEASES.iter().map(|release| release.version).collect();
        let remote = GitRemote::persistent(&self.layout, &self.layout.join("remotes/all"), &versions)?;
        let record = Record {
            format: FORMAT,
            docker_host: self.engine.docker_host(),
            registry: self.registry.address(),
            registry_for_hosts: self.registry.address_for_hosts(&self.engine),
            git_remote: remote.path().to_owned(),
            engine: self.engine.docker(&["version", "--format={{.Server.Version}}"])?,
            compose: self.engine.docker(&["compose", "version", "--short"])?,
            daemons: Daemon::recorded(&self.layout)?,
        };
        std::fs::write(self.layout.record(), serde_json::to_vec_pretty(&record)?)?;
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.owned {
            #[allow(clippy::print_stderr, reason = "a destructor has no other way to tell")]
            if let Err(error) = down(&self.layout) {
                eprintln!("lab: cannot take {} down: {error:#}", self.layout.root().display());
            }
        }
    }
}

fn down(layout: &Layout) -> Result<()> {
    let registry = Registry::open(layout, "registry")?;
    let engine = Engine::new(layout, &registry)?;
    if engine.answers() {
        engine.clear()?;
    }
    engine.stop()?;
    for daemon in Daemon::recorded(layout)? {
        daemon.stop_with_children(std::time::Duration::from_secs(10))?;
    }
    engine.sweep()?;
    sweep(layout)?;
    let _ = std::fs::remove_file(layout.record());
    Ok(())
}

/// Removes what killed tests have left: folders of SSH farms, disks of hosts.
fn sweep(layout: &Layout) -> Result<()> {
    for entry in std::fs::read_dir(layout.join("run"))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"farm-") {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    let _ = std::fs::remove_dir_all(layout.join("disks"));
    Ok(())
}

fn lock(layout: &Layout) -> Result<File> {
    lock_file(layout, "lock")
}

/// Waits for a lock of the lab's; it ends with the file.
pub(crate) fn lock_file(layout: &Layout, name: &str) -> Result<File> {
    let path = layout.join(name);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
