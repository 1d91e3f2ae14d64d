//! The whole lab: up, attached to, and down again without a trace.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::lock::lock_file;
use crate::setup::setup;
use crate::shell::step;
use crate::{Base, Engine, GitRemote, Host, HostKind, HostSpec, Layout, RELEASES, Registry, Release, Sandbox};
use crate::{build_base, build_release, cache, product, sandbox};

/// What a running lab says about itself in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// `DOCKER_HOST` of the lab's engine.
    pub docker_host: String,
    /// The registry as whoever is in the lab's namespaces reaches it; the engine mirrors Docker Hub's names from it.
    pub registry: String,
    /// The registry as hosts and containers reach it.
    pub registry_for_hosts: String,
    /// The bare git repository with all releases.
    pub git_remote: PathBuf,
    /// Version of the engine.
    pub engine: String,
    /// Version of compose.
    pub compose: String,
}

/// A running lab, seen by whoever runs in its namespaces.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    engine: Engine,
    registry: Registry,
}

impl Lab {
    /// The lab of this workspace: the one that runs, or else a new one, which is left running for those who come after.
    /// Tests in many processes share it; `cargo xtask test` or `cargo xtask lab down` ends it.
    ///
    /// A program that does not run in the lab's namespaces goes there first: see [`enter`].
    pub fn attach_or_up() -> Result<Self> {
        let layout = Layout::from_env()?;
        enter(&layout)?;
        let _lock = lock(&layout)?;
        match Self::attach(&layout)? {
            Some(lab) => Ok(lab),
            None => Self::up(&layout),
        }
    }

    /// Takes down whatever runs in this folder, and removes what it has on the disk; built images are kept.
    pub fn down(layout: &Layout) -> Result<()> {
        let _lock = lock(layout)?;
        down(layout)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The lab's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Which of [`crate::ENGINES`] it is.
    pub fn engine_name(&self) -> &'static str {
        self.layout.engine().name
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

    /// The first of so many ports in a row that nobody listens on and nobody else was given, below those that the kernel
    /// gives to clients: a stack takes them when its containers start, which may be much later.
    pub fn ports(&self, count: u16) -> Result<u16> {
        const FIRST: u16 = 20_000;
        const LAST: u16 = 31_000;
        let _lock = lock_file(&self.layout, "ports.lock")?;
        let file = self.layout.join("run/port");
        let next: Option<u16> = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let next = next.unwrap_or(FIRST);
        let free = |first: &u16| (*first..first + count).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok());
        let first = (next..=LAST).chain(FIRST..next).find(free).context("all ports are taken")?;
        std::fs::write(file, (first + count).to_string())?;
        Ok(first)
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
        cache::keep(&self.layout)
    }

    /// What `lab.json` says, if a lab runs in this folder.
    pub fn recorded(layout: &Layout) -> Result<Option<Record>> {
        let path = layout.record();
        if !path.exists() || !(sandbox::inside(layout) || Sandbox::running(layout).is_some()) {
            return Ok(None);
        }
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display())).map(Some)
    }

    /// What `lab.json` says.
    pub fn record(&self) -> Result<Record> {
        Self::recorded(&self.layout)?.context("the lab has ended")
    }

    fn attach(layout: &Layout) -> Result<Option<Self>> {
        let registry = Registry::open(layout, "registry")?;
        let engine = Engine::new(layout, &registry);
        if !layout.record().exists() || !engine.answers() {
            return Ok(None);
        }
        Ok(Some(Self { layout: layout.clone(), engine, registry }))
    }

    fn up(layout: &Layout) -> Result<Self> {
        sweep(layout)?;
        cache::seed(layout)?;
        let registry = Registry::open(layout, "registry")?;
        let engine = Engine::new(layout, &registry);
        let lab = Self { layout: layout.clone(), engine, registry };
        step(&format!("start registry and engine {}", layout.engine().name), || {
            lab.registry.start()?;
            // An engine of an earlier lab that was killed may have left it half written; its networks are none of this one's.
            let _ = std::fs::remove_dir_all(layout.join("docker/network"));
            lab.engine.start()?;
            lab.engine.clear()
        })?;
        for base in Base::SERVICES {
            build_base(layout, &lab.engine, &lab.registry, base)?;
        }
        for release in RELEASES {
            build_release(layout, &lab.engine, &lab.registry, release)?;
        }
        cache::keep(layout)?;
        lab.write_record()?;
        Ok(lab)
    }

    fn write_record(&self) -> Result<()> {
        let versions: Vec<&str> = RELEASES.iter().map(|release| release.version).collect();
        let remote = GitRemote::persistent(&self.layout, &self.layout.join("remotes/all"), &versions)?;
        let record = Record {
            docker_host: self.engine.docker_host(),
            registry: self.registry.address(),
            registry_for_hosts: self.registry.address_for_hosts(&self.engine),
            git_remote: remote.path().to_owned(),
            engine: self.engine.docker(&["version", "--format={{.Server.Version}}"])?,
            compose: self.engine.docker(&["compose", "version", "--short"])?,
        };
        std::fs::write(self.layout.record(), serde_json::to_vec_pretty(&record)?)?;
        Ok(())
    }
}

/// Goes into this lab's namespaces, which may be empty yet: whoever starts engines and mounts disks does it there.
///
/// A program that is outside is replaced by itself inside, with the same arguments: what it does before it does twice.
///
/// # Errors
/// When the machine lets nobody make namespaces.
pub fn enter(layout: &Layout) -> Result<()> {
    if sandbox::inside(layout) {
        return Ok(());
    }
    let _lock = lock(layout)?;
    prepare(layout)?;
    let sandbox = match Sandbox::running(layout) {
        Some(sandbox) => sandbox,
        None => Sandbox::lasting(layout)?,
    };
    match sandbox.enter()? {}
}

/// Brings what a lab needs of the machine and of its engine's packages.
///
/// # Errors
/// When a package cannot be had.
pub fn prepare(layout: &Layout) -> Result<()> {
    setup()?;
    layout.engine().unpack()?;
    // for clients outside of the lab's namespaces, which find the machine's plugins elsewhere
    let plugins = layout.join("home/docker/cli-plugins");
    if std::fs::symlink_metadata(&plugins).is_err() {
        std::fs::create_dir_all(layout.join("home/docker"))?;
        std::os::unix::fs::symlink(layout.engine().folder()?.join("usr/libexec/docker/cli-plugins"), &plugins)?;
    }
    Ok(())
}

fn down(layout: &Layout) -> Result<()> {
    let engine = Engine::new(layout, &Registry::open(layout, "registry")?);
    if engine.answers() {
        engine.clear()?;
    }
    sandbox::end(layout)?;
    sweep(layout)
}

/// Removes what a lab that has ended, or was killed, has left in its folder: what its daemons wrote, folders of SSH farms,
/// disks of hosts.
fn sweep(layout: &Layout) -> Result<()> {
    let keep = ["sandbox.ready", "sandbox.daemon", "slirp.sock", "resolv.conf"];
    for entry in std::fs::read_dir(layout.join("run"))? {
        let entry = entry?;
        if keep.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    let _ = std::fs::remove_dir_all(layout.join("disks"));
    let _ = std::fs::remove_file(layout.record());
    Ok(())
}

fn lock(layout: &Layout) -> Result<File> {
    lock_file(layout, "lock")
}
