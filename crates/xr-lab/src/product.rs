//! The example product's images, built from its own Dockerfiles and pushed as its CI would.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::base::{hash_tree, hex};
use crate::shell::step;
use crate::{Base, Engine, Layout, Registry, Release};

/// One image of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// `orbit-server`
    Server,
    /// `orbit-frontend`
    Frontend,
    /// `orbit-nginx`
    Nginx,
    /// `orbit-agent`
    Agent,
    /// `orbit-worker`: in no compose service.
    Worker,
}

impl Image {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Server, Self::Frontend, Self::Nginx, Self::Agent, Self::Worker];

    /// `server`, as in the name of the image and of its directory.
    pub fn part(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Frontend => "frontend",
            Self::Nginx => "nginx",
            Self::Agent => "agent",
            Self::Worker => "worker",
        }
    }

    /// `prefix/orbit-server:tag`
    pub fn name(self, prefix: &str, tag: &str) -> String {
        format!("{prefix}/orbit-{}:{tag}", self.part())
    }
}

/// Makes sure that the registry holds this release's five images as `acme/orbit-…:TAG`, built from its tree.
/// What a test deleted or pushed again is put right.
pub fn build_release(layout: &Layout, engine: &Engine, registry: &Registry, release: &Release) -> Result<()> {
    if !release.images {
        return Ok(());
    }
    let tree = tempfile::tempdir()?;
    release.write_tree(tree.path())?;
    let mut hash = Sha256::new();
    hash.update(Base::Python.recipe()?);
    hash.update(Base::Nginx.recipe()?);
    hash_tree(&mut hash, tree.path())?;
    let recipe = hex(&hash.finalize());

    let marker = layout.join(&format!("built/orbit_{}", release.version));
    if std::fs::read_to_string(&marker).unwrap_or_default() == format!("{recipe} {}", digests(registry, release)?) {
        return Ok(());
    }
    step(&format!("build orbit {}", release.version), || {
        for image in Image::ALL {
            let name = image.name("acme", release.version);
            let local = format!("{}/{name}", registry.address());
            let dockerfile = tree.path().join("docker").join(image.part()).join("Dockerfile");
            engine.build(tree.path(), &dockerfile, &local, &[("VERSION", release.version)])?;
            registry.push(engine, &local, &name)?;
        }
        Ok(())
    })?;
    std::fs::write(&marker, format!("{recipe} {}", digests(registry, release)?))?;
    Ok(())
}

/// Pushes a release's images under another prefix, which the caller may then break: `acme/` belongs to all tests.
pub(crate) fn publish_as(engine: &Engine, registry: &Registry, release: &Release, prefix: &str) -> Result<()> {
    for image in Image::ALL {
        let from = format!("{}/{}", registry.address(), image.name("acme", release.version));
        engine.docker(&["pull", "--quiet", &from])?;
        registry
            .push(engine, &from, &image.name(prefix, release.version))
            .with_context(|| format!("cannot publish {} as {prefix}", release.version))?;
    }
    Ok(())
}

fn digests(registry: &Registry, release: &Release) -> Result<String> {
    let digests: Result<Vec<String>> = Image::ALL
        .iter()
        .map(|image| Ok(registry.digest(&image.name("acme", release.version))?.unwrap_or_default()))
        .collect();
    Ok(digests?.join(" "))
}
