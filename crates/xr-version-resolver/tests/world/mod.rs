//! A publisher's repository and an admin's clone of it, in a temporary folder, cut off from the machine's git settings.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used)] // each test file uses a part

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use xr_host::Cmd;
use xr_model::Version;
use xr_version_resolver::{Checkout, Request, Resolution, resolve};

const ALONE: [(&str, &str); 7] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "Pub"),
    ("GIT_AUTHOR_EMAIL", "pub@example.org"),
    ("GIT_COMMITTER_NAME", "Pub"),
    ("GIT_COMMITTER_EMAIL", "pub@example.org"),
    ("GIT_PROTOCOL_FROM_USER", "1"),
];

pub struct World {
    pub dir: tempfile::TempDir,
    pub publisher: PathBuf,
    pub clone: PathBuf,
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let cmd = Cmd::new("git").args(args).cwd(dir);
    ALONE.iter().fold(cmd, |cmd, (key, value)| cmd.env(key, *value)).ok().unwrap().text()
}

impl World {
    /// v1.0.0 and v1.1.0, as the field does it: each tag's own tree holds the VERSION before, a bot bumps it after.
    pub fn new() -> Self {
        let world = Self::bare();
        world.release("v1.0.0");
        world.release("v1.1.0");
        world
    }

    /// A publisher with one commit, VERSION v0.9.0 and no tags.
    pub fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (publisher, clone) = (dir.path().join("publisher"), dir.path().join("clone"));
        fs::create_dir(&publisher).unwrap();
        git(&publisher, &["init", "-q", "-b", "main"]);
        let world = Self { dir, publisher, clone };
        world.publish("VERSION", "v0.9.0\n");
        world
    }

    pub fn publish(&self, path: &str, content: &str) -> String {
        let file = self.publisher.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self.commit(path)
    }

    pub fn commit(&self, message: &str) -> String {
        git(&self.publisher, &["add", "-A"]);
        git(&self.publisher, &["commit", "-q", "-m", message]);
        git(&self.publisher, &["rev-parse", "HEAD"])
    }

    /// Returns the tag's commit.
    pub fn release(&self, name: &str) -> String {
        let commit = self.publish("docker/docker-compose.yml", &format!("# {name}\n"));
        git(&self.publisher, &["tag", "-a", "-m", name, name]);
        self.publish("VERSION", &format!("{name}\n"));
        commit
    }

    pub fn clone(&self, args: &[&str]) -> Checkout {
        let url = format!("file://{}", self.publisher.display());
        let mut all = vec!["clone", "-q"];
        all.extend(args);
        all.extend([url.as_str(), self.clone.to_str().unwrap()]);
        git(self.dir.path(), &all);
        self.checkout()
    }

    pub fn checkout(&self) -> Checkout {
        let checkout = Checkout::open(&self.clone).unwrap().unwrap();
        ALONE.iter().fold(checkout, |checkout, (key, value)| checkout.env(key, value))
    }

    /// A checkout whose git processes are written down in the returned file, one line each.
    pub fn counted(&self) -> (Checkout, PathBuf) {
        let (bin, log) = (self.dir.path().join("bin"), self.dir.path().join("calls"));
        fs::create_dir_all(&bin).unwrap();
        let real = Cmd::new("sh").args(["-c", "command -v git"]).ok().unwrap().text();
        fs::write(bin.join("git"), format!("#!/bin/sh\necho \"$*\" >> {}\nexec {real} \"$@\"\n", log.display()))
            .unwrap();
        fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        (self.checkout().env("PATH", &path), log)
    }

    pub fn resolve(&self, checkout: &Checkout, request: &Request) -> xr_model::Result<Resolution> {
        resolve(&self.clone, Some(checkout), request)
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.clone.join(path).parent().unwrap()).unwrap();
        fs::write(self.clone.join(path), content).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.clone.join(path)).unwrap()
    }

    pub fn link(&self, target: &str, path: &str) {
        symlink(target, self.publisher.join(path)).unwrap();
    }
}

/// Every file's path and content below `dir`, `.git` too, to show that nothing changed.
pub fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(snapshot(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    found.sort();
    found
}
