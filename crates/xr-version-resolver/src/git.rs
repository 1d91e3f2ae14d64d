//! How xr runs git: as the tree's owner, never asking, never waiting for ever, in English.

use std::{env, ffi::OsString, fs, io::IsTerminal, path::Path};

use xr_host::{Cmd, Identity, Output};
use xr_model::{Fault, Result};

use crate::{Checkout, config};

/// Variables by which a surrounding git (a hook that calls xr) would point ours at another repository.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_QUARANTINE_PATH",
];

/// What is set for each git. The last two: nothing that stands in a clone's own settings is run by a mere look at it.
const SETTINGS: [&str; 8] = [
    "core.fileMode=false",
    "core.fsync=added,reference",
    "core.fsyncMethod=batch",
    "gc.auto=0",
    "maintenance.auto=false",
    "color.ui=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
];

impl Checkout {
    /// `git <args>` in this checkout.
    ///
    /// A file's mode alone is not a local change (`chmod +x` by the admin), and no garbage collection is left behind
    /// in the background. What git writes is on the disk when it ends (`core.fsync`, git 2.36): a reference that outlives a
    /// power cut and the objects that do not make a clone that git refuses to work with.
    pub(crate) fn git<I: IntoIterator<Item: Into<OsString>>>(&self, args: I) -> Cmd {
        let foreign: Vec<&str> = FOREIGN.into_iter().filter(|name| env::var_os(name).is_some()).collect();
        let mut cmd = if foreign.is_empty() {
            Cmd::new("git")
        } else {
            Cmd::new("env").args(foreign.into_iter().flat_map(|name| ["-u", name])).arg("git")
        };
        for setting in SETTINGS {
            cmd = cmd.arg("-c").arg(setting);
        }
        cmd = cmd
            .args(args)
            .cwd(&self.root)
            .run_as(self.identity.as_ref())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C");
        if let Some(identity) = &self.identity {
            cmd = cmd.env("XDG_CONFIG_HOME", "");
            if identity.home.is_none() {
                cmd = cmd.env("HOME", "/nonexistent"); // a user without an account entry: not root's settings
            }
        }
        self.env.iter().fold(cmd, |cmd, (key, value)| cmd.env(key, value))
    }

    /// `git <args>` that talks to a remote: gives up on a line that is dead, and on a remote that says nothing. git itself
    /// has a limit for HTTP only, and ssh only for machines that are away.
    pub(crate) fn git_remote<I: IntoIterator<Item: Into<OsString>>>(&self, args: I) -> Cmd {
        let seconds = self.patience.as_secs().max(1).to_string();
        let mut cmd = self
            .git(args)
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
            .env("GIT_HTTP_LOW_SPEED_TIME", seconds)
            .patience(self.patience);
        if !self.has_own_ssh() {
            let batch = if std::io::stdin().is_terminal() { "" } else { " -o BatchMode=yes" };
            let alive = "-o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3";
            cmd = cmd.env("GIT_SSH_COMMAND", format!("ssh{batch} {alive}"));
        }
        cmd
    }

    /// Whether the user chose how git reaches ssh; that is left alone.
    fn has_own_ssh(&self) -> bool {
        if env::var_os("GIT_SSH_COMMAND").is_some() || env::var_os("GIT_SSH").is_some() {
            return true;
        }
        let home = match &self.identity {
            Some(Identity { home, .. }) => home.clone().map(OsString::from),
            None => env::var_os("HOME"),
        };
        let mut files = vec![self.common_dir.join("config"), "/etc/gitconfig".into()];
        if let Some(home) = home {
            files.push(Path::new(&home).join(".gitconfig"));
            files.push(Path::new(&home).join(".config/git/config"));
        }
        files.iter().any(|file| fs::read_to_string(file).is_ok_and(|text| config::parse(&text).ssh_command))
    }

    /// Runs a local git command that must succeed; `doing` completes "cannot …".
    pub(crate) fn must(&self, doing: &str, cmd: &Cmd) -> Result<Output> {
        let output = cmd.run()?;
        if output.code == 0 { Ok(output) } else { Err(self.local_fault(doing, cmd, &output)) }
    }

    /// Why a local git command failed, with what mends it.
    pub(crate) fn local_fault(&self, doing: &str, cmd: &Cmd, output: &Output) -> Fault {
        let said = output.error_text();
        let root = xr_model::shell(&self.root);
        let fault = Fault::new(format!("cannot {doing} in {root}")).because(cmd.failed(output));
        if said.contains(".lock': File exists") {
            return self.lock_fault(said.split('\'').find(|part| part.ends_with(".lock")).unwrap_or(".git/index.lock"));
        }
        if said.contains("dubious ownership") {
            return Fault::new(format!("{root} and its .git belong to different users, so git refuses to work there"))
                .hint(format!("sudo chown -R --reference={root} {root}/.git"));
        }
        if ["ermission denied", "insufficient permission", "unable to create directory"]
            .iter()
            .any(|text| said.contains(text))
        {
            let hint = match &self.identity {
                Some(owner) => format!(
                    "chown -R {}:{} {root}   # files that an earlier `sudo git pull` left to root",
                    owner.uid, owner.gid
                ),
                None => format!("sudo chown -R \"$(id -un)\" {root}   # or run xr as the owner of {root}"),
            };
            return fault.hint(hint);
        }
        if said.contains("No space left") {
            return fault.hint(format!("df -h {root}"));
        }
        fault.hint(format!("git -C {root} status"))
    }

    /// The fault for a lock that another, or a dead, git holds.
    pub(crate) fn lock_fault(&self, lock: &str) -> Fault {
        Fault::new(format!("{lock} exists: another git works in {}, or one was interrupted", self.root.display()))
            .hint(format!("if no git is running there (`pgrep -a git`): rm {lock}"))
    }
}
