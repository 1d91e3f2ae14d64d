//! The images that everything else stands on, made of Debian packages: nothing can be pulled from a hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use duct::cmd;
use sha2::{Digest, Sha256};

use crate::shell::{patiently, run, step};
use crate::{Engine, Layout, Registry};

/// The recipe of a fresh machine, whatever Debian it has.
const MACHINE: &str = "host";

/// One base image. Its recipe is `bases/<dir>/`, or mmdebstrap for the two Debian roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `debian:bookworm-slim`
    Bookworm,
    /// `debian:trixie-slim`
    Trixie,
    /// `postgres:15`
    Postgres,
    /// `redis:7-alpine`, which is Debian's redis-server under that name.
    Redis,
    /// `orbit-base/python:3.11`
    Python,
    /// `orbit-base/nginx:1.22`
    Nginx,
    /// `busybox:latest`
    Busybox,
    /// A trixie machine without Docker.
    HostFresh,
    /// A trixie machine with Docker and compose.
    HostDocker,
    /// A bookworm machine without Docker.
    HostBookworm,
}

impl Base {
    /// What a released stack and its images need.
    pub const SERVICES: [Self; 6] =
        [Self::Bookworm, Self::Postgres, Self::Redis, Self::Python, Self::Nginx, Self::Busybox];

    /// The name in the registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "library/debian:bookworm-slim",
            Self::Trixie => "library/debian:trixie-slim",
            Self::Postgres => "library/postgres:15",
            Self::Redis => "library/redis:7-alpine",
            Self::Python => "orbit-base/python:3.11",
            Self::Nginx => "orbit-base/nginx:1.22",
            Self::Busybox => "library/busybox:latest",
            Self::HostFresh => "xr-lab/host:fresh",
            Self::HostDocker => "xr-lab/host:docker",
            Self::HostBookworm => "xr-lab/host:bookworm",
        }
    }

    fn parent(self) -> Option<Self> {
        match self {
            Self::Bookworm | Self::Trixie | Self::Busybox => None,
            Self::Postgres | Self::Redis | Self::Python | Self::Nginx | Self::HostBookworm => Some(Self::Bookworm),
            Self::HostFresh => Some(Self::Trixie),
            Self::HostDocker => Some(Self::HostFresh),
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Bookworm => Source::Debian("bookworm"),
            Self::Trixie => Source::Debian("trixie"),
            Self::Postgres => Source::Dockerfile("postgres"),
            Self::Redis => Source::Dockerfile("redis"),
            Self::Python => Source::Dockerfile("python"),
            Self::Nginx => Source::Dockerfile("nginx"),
            Self::Busybox => Source::Dockerfile("busybox"),
            Self::HostFresh | Self::HostBookworm => Source::Dockerfile(MACHINE),
            Self::HostDocker => Source::Dockerfile("host-docker"),
        }
    }

    /// Changes when the recipe does, or that of what it stands on.
    pub(crate) fn recipe(self) -> Result<String> {
        let mut hash = Sha256::new();
        if let Some(parent) = self.parent() {
            hash.update(parent.recipe()?);
        }
        match self.source() {
            Source::Debian(suite) => hash.update(mmdebstrap_argv(suite, "-")?.join(" ")),
            Source::Dockerfile(dir) => hash_tree(&mut hash, &recipes().join(dir))?,
        }
        Ok(hex(&hash.finalize()))
    }
}

enum Source {
    Debian(&'static str),
    Dockerfile(&'static str),
}

/// Makes sure that this base exists as its recipe says, building its parents first.
pub fn build_base(layout: &Layout, engine: &Engine, registry: &Registry, base: Base) -> Result<()> {
    let recipe = base.recipe()?;
    let name = base.name();
    let marker = layout.join(&format!("built/{}", name.replace(['/', ':'], "_")));
    let built = std::fs::read_to_string(&marker).unwrap_or_default();
    if built == format!("{recipe} {}", registry.digest(name)?.unwrap_or_default()) {
        return Ok(());
    }
    if let Some(parent) = base.parent() {
        build_base(layout, engine, registry, parent)?;
    }
    step(&format!("build {name}"), || {
        let local = name.trim_start_matches("library/");
        patiently(|| match base.source() {
            Source::Debian(suite) => import_debian(layout, engine, suite, local),
            Source::Dockerfile(dir) => {
                let context = context_of(base, dir)?;
                let debian = base.parent().map(|parent| ("DEBIAN", parent.name().trim_start_matches("library/")));
                // machines of all suites have one recipe
                let arguments: Vec<(&str, &str)> = debian.into_iter().filter(|_| dir == MACHINE).collect();
                engine.build(context.path(), &context.path().join("Dockerfile"), local, &arguments)
            }
        })?;
        registry.push(engine, local, name).map(drop)
    })?;
    std::fs::write(&marker, format!("{recipe} {}", registry.digest(name)?.unwrap_or_default()))?;
    Ok(())
}

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bases")
}

/// A copy of the recipe, with what the machine itself contributes.
fn context_of(base: Base, dir: &str) -> Result<tempfile::TempDir> {
    let context = tempfile::tempdir()?;
    run("copy recipe", cmd!("cp", "-a", format!("{}/.", recipes().join(dir).display()), context.path()))?;
    if base == Base::Busybox {
        std::fs::copy("/usr/bin/busybox", context.path().join("busybox")).context("busybox-static is not installed")?;
    }
    Ok(context)
}

fn import_debian(layout: &Layout, engine: &Engine, suite: &str, tag: &str) -> Result<()> {
    let tarball = layout.join(&format!("{suite}.tar"));
    let path = tarball.display().to_string();
    run(&format!("mmdebstrap {suite}"), cmd("mmdebstrap", mmdebstrap_argv(suite, &path)?))?;
    engine.docker(&["import", "--change", "CMD [\"bash\"]", &path, tag])?;
    std::fs::remove_file(tarball)?;
    Ok(())
}

/// A small root that reaches its packages the way this machine does: proxy and other settings of apt are carried over.
fn mmdebstrap_argv(suite: &str, target: &str) -> Result<Vec<String>> {
    let mut argv: Vec<String> = ["--quiet", "--variant=minbase", "--aptopt=Acquire::Languages \"none\""]
        .into_iter()
        .map(str::to_owned)
        .collect();
    let settings = run("apt-config", cmd!("apt-config", "dump", "--no-empty"))?;
    let carried = ["Acquire::Check-", "Acquire::http::", "Acquire::https::", "Acquire::Retries"];
    argv.extend(
        settings
            .lines()
            .filter(|line| carried.iter().any(|prefix| line.starts_with(prefix)))
            .map(|line| format!("--aptopt={}", line.trim_end_matches(';'))),
    );
    argv.extend(["doc", "man", "info", "locale"].map(|dir| format!("--dpkgopt=path-exclude=/usr/share/{dir}/*")));
    // else bookworm takes usrmerge in its place, and with it all of Perl, which no image has use for
    argv.push("--include=usr-is-merged".to_owned());
    argv.extend([suite.to_owned(), target.to_owned(), "http://deb.debian.org/debian".to_owned()]);
    Ok(argv)
}

/// Names and contents of all files below `dir`, in a fixed order.
pub(crate) fn hash_tree(hash: &mut Sha256, dir: &Path) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        if path.is_dir() {
            hash_tree(hash, &path)?;
        } else {
            hash.update(std::fs::read(&path)?);
        }
    }
    Ok(())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
