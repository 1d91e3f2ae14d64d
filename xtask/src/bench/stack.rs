//! A running example to measure on, removed when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use duct::{Expression, cmd};
use tempfile::TempDir;
use xr_lab::{GitRemote, Lab};

/// A clone of the example that runs v1.0.0 under a project of its own.
pub(crate) struct Stack<'a> {
    lab: &'a Lab,
    xr: PathBuf,
    project: String,
    /// The published port.
    pub port: u16,
    root: TempDir,
    _remote: GitRemote,
}

impl<'a> Stack<'a> {
    /// Installs v1.0.0; its remote has `versions`, each with these files of the publisher beside the product's.
    pub fn install(
        lab: &'a Lab,
        xr: &Path,
        name: &str,
        port: u16,
        versions: &[&str],
        files: &[(&str, String)],
    ) -> Result<Self> {
        // As users get it: its health is asked for as often as the product says.
        let remote = lab.lasting_remote(&format!("bench-{name}"), &[])?;
        remote.write(files.iter().map(|(path, text)| (*path, text.as_str())))?;
        versions.iter().try_for_each(|version| remote.release(version))?;
        let root = TempDir::new()?;
        remote.clone_to(&root.path().join("orbit"))?;
        let project = format!("bench{name}");
        let stack = Self { lab, xr: xr.to_owned(), project: project.clone(), port, root, _remote: remote };
        cmd!("git", "checkout", "-q", "v1.0.0").dir(stack.dir()).run()?;
        let template = std::fs::read_to_string(stack.dir().join("docker/.env.example"))?;
        let own = format!(
            "\nCOMPOSE_PROJECT_NAME={project}\nAGENT_NAME={project}-agent\nDATA_DIR={}\n",
            stack.root.path().join("data").display()
        );
        let env: String =
            template.replace("HTTP_PORT=8083", &format!("HTTP_PORT={port}")).replace("change-me", "bench") + &own;
        let env: Vec<&str> = env.lines().filter(|line| *line != "DATA_DIR=/opt/orbit").collect();
        std::fs::write(stack.dir().join("docker/.env"), env.join("\n") + "\n")?;
        stack.xr(&["install", "--yes", "--quiet"]).stdout_null().run().context("xr install")?;
        Ok(stack)
    }

    /// The clone.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("orbit")
    }

    /// What a shell in the first container of a service says.
    pub fn exec(&self, service: &str, script: &str) -> Result<String> {
        let container = format!("{}-{service}-1", self.project);
        Ok(self.lab.engine().docker(&["exec", &container, "sh", "-c", script])?.trim().to_owned())
    }

    /// xr on this stack.
    pub fn xr(&self, argv: &[&str]) -> Expression {
        cmd(&self.xr, argv).dir(self.dir()).env("DOCKER_HOST", self.lab.engine().docker_host())
    }

    /// The same for a caller who wants to know the process.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(&self.xr);
        command.args(argv).current_dir(self.dir()).env("DOCKER_HOST", self.lab.engine().docker_host());
        command
    }

    /// `docker compose` as an admin calls it.
    pub fn compose(&self, argv: &[&str]) -> Expression {
        let all = ["compose", "--profile", "local-db"].iter().chain(argv);
        cmd("docker", all).dir(self.dir().join("docker")).env("DOCKER_HOST", self.lab.engine().docker_host())
    }

    /// What the scripts do by hand: the tree at a tag and its version in `.env`.
    pub fn switch_tree(&self, version: &str) -> Result<()> {
        cmd!("git", "checkout", "-q", "-f", version).dir(self.dir()).run()?;
        let path = self.dir().join("docker/.env");
        let env = std::fs::read_to_string(&path)?;
        let line = |line: &str| {
            if line.starts_with("IMAGE_TAG=") { format!("IMAGE_TAG={version}\n") } else { format!("{line}\n") }
        };
        std::fs::write(&path, env.lines().map(line).collect::<String>())?;
        Ok(())
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        self.lab.engine().remove_project(&self.project);
    }
}
