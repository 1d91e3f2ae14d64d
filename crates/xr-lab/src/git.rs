//! The publisher's git repository: tags whose own tree holds the VERSION before, and a bot that moves VERSION later.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use duct::cmd;
use tempfile::TempDir;

use crate::shell::run;
use crate::{Layout, Release};

/// A bare repository with the example product's history, and the publisher's clone of it.
#[derive(Debug)]
pub struct GitRemote {
    bare: PathBuf,
    work: PathBuf,
    home: PathBuf,
    /// Whether what it releases is asked for its health seldom: many stacks at once leave the machine to what is tested.
    calm: bool,
    _dir: Option<TempDir>,
}

/// How often the example's databases are asked, and how often in a test: xr asks by itself while somebody waits.
const OFTEN: &str = "interval: 5s";
const SELDOM: &str = "interval: 20s";

impl GitRemote {
    /// A remote that carries these versions, in this order. Dropping it deletes it.
    pub(crate) fn temporary(layout: &Layout, versions: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("orbit-").tempdir_in(layout.join("remotes"))?;
        let mut remote = Self::at(dir.path(), &layout.join("home"), &[])?;
        (remote.calm, remote._dir) = (true, Some(dir));
        versions.iter().try_for_each(|version| remote.release(version))?;
        Ok(remote)
    }

    /// A remote in `dir` that stays, made anew.
    pub(crate) fn persistent(layout: &Layout, dir: &Path, versions: &[&str]) -> Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        Self::at(dir, &layout.join("home"), versions)
    }

    /// A remote in an empty folder, which stays; git takes `home` for the publisher's.
    pub fn at(dir: &Path, home: &Path, versions: &[&str]) -> Result<Self> {
        let remote = Self {
            bare: dir.join("orbit.git"),
            work: dir.join("work"),
            home: home.to_owned(),
            calm: false,
            _dir: None,
        };
        remote.git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", "orbit.git"])?;
        remote.git(dir, &["init", "--quiet", "--initial-branch=main", "work"])?;
        remote.in_work(&["remote", "add", "origin", &remote.bare.display().to_string()])?;
        for version in versions {
            remote.release(version)?;
        }
        Ok(remote)
    }

    /// The bare repository.
    pub fn path(&self) -> &Path {
        &self.bare
    }

    /// Its `file://` address.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// The publisher's clone, for commits that only one test needs: change files, then `commit` and `push`.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Publishes one more version: the tag, then the bot's commit of VERSION.
    pub fn release(&self, version: &str) -> Result<()> {
        self.tag(version)?;
        if Release::find(version)?.images { self.bump(version) } else { Ok(()) }
    }

    /// Commits and tags a version. The tree of the tag holds the VERSION before, but for the first one.
    pub fn tag(&self, version: &str) -> Result<()> {
        let release = Release::find(version)?;
        release.write_tree(&self.work)?;
        if self.calm {
            let path = self.work.join("docker/docker-compose.yml");
            std::fs::write(&path, std::fs::read_to_string(&path)?.replace(OFTEN, SELDOM))?;
        }
        self.commit(&format!("feat: {}", release.summary))?;
        self.in_work(&["tag", "-m", version, version])?;
        self.push()
    }

    /// The bot's commit after CI: VERSION on main follows the tag.
    pub fn bump(&self, version: &str) -> Result<()> {
        std::fs::write(self.work.join("VERSION"), format!("{version}\n"))?;
        self.commit(&format!("chore: VERSION {version}"))?;
        self.push()
    }

    /// Writes files into the publisher's clone, for the next commit.
    pub fn write<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
        for (path, text) in files {
            let path = self.work.join(path);
            std::fs::create_dir_all(path.parent().context("a file needs a directory")?)?;
            std::fs::write(path, text)?;
        }
        Ok(())
    }

    /// Commits everything in the publisher's clone.
    pub fn commit(&self, message: &str) -> Result<()> {
        self.in_work(&["add", "--all"])?;
        self.in_work(&["commit", "--quiet", "--allow-empty", "-m", message]).map(drop)
    }

    /// Pushes main and all tags, overwriting what the remote had.
    pub fn push(&self) -> Result<()> {
        self.in_work(&["push", "--quiet", "--force", "origin", "main", "--tags"]).map(drop)
    }

    /// Clones it as an admin would; the answer is the stack directory, `dest` itself.
    pub fn clone_to(&self, dest: &Path) -> Result<PathBuf> {
        let parent = dest.parent().context("the clone needs a directory to be in")?;
        self.git(parent, &["clone", "--quiet", &self.url(), &dest.display().to_string()])?;
        Ok(dest.to_owned())
    }

    /// Runs git in the publisher's clone.
    pub fn in_work(&self, argv: &[&str]) -> Result<String> {
        self.git(&self.work, argv)
    }

    fn git(&self, dir: &Path, argv: &[&str]) -> Result<String> {
        let mut command = cmd("git", argv).dir(dir);
        for (key, value) in git_env(&self.home) {
            command = command.env(key, value);
        }
        run(&format!("git {}", argv.join(" ")), command)
    }
}

/// An environment in which git reads nobody's settings.
fn git_env(home: &Path) -> Vec<(&'static str, String)> {
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "Acme"),
        ("GIT_AUTHOR_EMAIL", "release@acme.example"),
        ("GIT_COMMITTER_NAME", "Acme"),
        ("GIT_COMMITTER_EMAIL", "release@acme.example"),
    ];
    let mut env: Vec<(&'static str, String)> = fixed.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    env.push(("HOME", home.display().to_string()));
    env
}
