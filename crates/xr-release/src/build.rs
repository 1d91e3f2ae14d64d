//! Building images here, before anything is observed: with `--dev`, and where a compose file builds what no registry has.
//! Building touches nothing that runs.

use std::{fs, path::PathBuf};

use xr_host::Cmd;
use xr_journal::create_private_dir;
use xr_model::{Result, Version};
use xr_session::Session;
use xr_stack::Compose;

use crate::{settings::dev_tag, staging::Staged};

/// `--dev`: every image that the compose file builds, and those the manifest adds.
pub fn all(session: &Session<'_>, staged: &Staged, version: &Version, commit: Option<&str>) -> Result<()> {
    let source = Source::of(session, staged, commit)?;
    source.compose(staged).command().arg("build").ok()?;
    for image in &staged.stack.manifest.dev.images {
        let dockerfile = source.root.join(&image.dockerfile);
        if dockerfile.is_file() {
            let (tag, version) = (dev_tag(&image.tag, version), format!("VERSION={version}"));
            Cmd::new("docker")
                .args(["build", "--tag", &tag, "--build-arg", &version, "--file"])
                .arg(dockerfile)
                .arg(source.root.join(&image.context))
                .own_group()
                .ok()?;
        }
    }
    Ok(())
}

/// The images of these services.
pub fn some(session: &Session<'_>, staged: &Staged, services: &[String], commit: Option<&str>) -> Result<()> {
    let source = Source::of(session, staged, commit)?;
    source.compose(staged).command().arg("build").args(services).ok().map(drop)
}

/// The tree to build from: the release's, which is the present one unless the release stands at another commit.
struct Source {
    root: PathBuf,
    env: PathBuf,
    temporary: Option<PathBuf>,
}

impl Source {
    fn of(session: &Session<'_>, staged: &Staged, commit: Option<&str>) -> Result<Self> {
        let env = xr_session::root_of(session, staged.number).join(&staged.stack.layout.env);
        let elsewhere = match (&session.checkout, commit) {
            (Some(checkout), Some(commit)) if checkout.head()?.commit != commit => Some((checkout, commit)),
            _ => None,
        };
        let Some((checkout, commit)) = elsewhere else {
            return Ok(Self { root: session.root.clone(), env, temporary: None });
        };
        let dir = session.generations.dir(staged.number).join("source");
        // Named like the stack's root: compose derives the project's name, and so image names, from it.
        let root = dir.join(session.root.file_name().unwrap_or_default());
        create_private_dir(&root)?;
        let source = Self { root, env, temporary: Some(dir) };
        checkout.stage(commit, &[], &source.root)?;
        Ok(source)
    }

    fn compose(&self, staged: &Staged) -> Compose {
        let mut layout = staged.stack.layout.under(&self.root);
        layout.env = self.env.to_string_lossy().into_owned();
        // What `env_file: .env` means must be there too.
        let beside = self.root.join(&staged.stack.layout.env);
        if self.temporary.is_some() && !beside.exists() {
            let _ = std::os::unix::fs::symlink(&self.env, beside);
        }
        Compose::new(&layout, &staged.invocation.files, &staged.invocation.profiles)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(dir) = &self.temporary {
            // What stays is in a folder that the next run clears.
            let _ = fs::remove_dir_all(dir);
        }
    }
}
