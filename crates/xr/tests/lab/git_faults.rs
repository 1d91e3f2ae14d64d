//! Git remotes that hang: bounded waiting, the remote named, nothing changed, nobody left behind.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use duct::cmd;
use rustix::process::Signal;
use xr_lab::{GitServer, wait_for};

use crate::support::{Done, PATIENCE, Setup, Stack, Witness};

/// What an admin with a quick network writes.
const BRISK: &str = "[network]\npatience = \"2s\"\n";
/// Long enough for one such patience, too short for two and what else a command does.
const BOUND: Duration = Duration::from_secs(20);

/// A stack whose remote is reached over a network; v1.1.0, which is large, waits there.
struct Stage {
    stack: Stack,
    server: GitServer,
}

impl Stage {
    fn set() -> Result<Self> {
        let stack = Stack::installed(&Setup::default())?;
        let server = GitServer::of(&stack.remote)?;
        std::fs::write(stack.root.join(".xr/site.toml"), BRISK)?;
        let stage = Self { stack, server };
        stage.release("v1.1.0", 1)?;
        stage.reach_by("git")?;
        Ok(stage)
    }

    /// A release that brings four megabytes in so many files.
    fn release(&self, version: &str, files: usize) -> Result<()> {
        for number in 0..files {
            let mut ballast = Vec::new();
            std::fs::File::open("/dev/urandom")?.take(4_000_000 / files as u64).read_to_end(&mut ballast)?;
            std::fs::write(self.stack.remote.work().join(format!("ballast-{number}")), ballast)?;
        }
        self.stack.remote.release(version)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.server.address())
    }

    fn reach_by(&self, scheme: &str) -> Result<()> {
        self.stack.git(&["remote", "set-url", "origin", &self.url(scheme)]).map(drop)
    }

    /// A command that gives the remote up, and says so; nobody else notices.
    #[track_caller]
    fn gives_up(&self, argv: &[&str], scheme: &str) -> Result<()> {
        let before = self.stack.snapshot()?;
        let version = before.version.clone();
        let witness = Witness::of(self.stack.port);
        let begun = Instant::now();
        let done = self.stack.xr(argv)?;
        ensure!(begun.elapsed() < BOUND, "{:?} for {done}", begun.elapsed());
        assert_eq!(witness.end()?, [version], "{done}");
        let done = done.exits(75).says("`origin`").says(&self.url(scheme)).says("does not answer").says("hint: ");
        assert_eq!(before, self.stack.snapshot()?, "{done}");
        self.nobody_is_left(&done)
    }

    /// No process still talks to the remote, and git's own folder holds nothing half-done.
    fn nobody_is_left(&self, done: &Done) -> Result<()> {
        let address = self.server.address();
        let (host, _) = address.split_once('/').unwrap_or((&address, ""));
        let port = host.split_once(':').map_or(host, |(_, port)| port);
        let talks = |line: &str| line.contains(host) || (line.starts_with("ssh\0") && line.contains(port));
        let entries = std::fs::read_dir("/proc")?.flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        let left: Vec<String> =
            lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| talks(line)).collect();
        ensure!(left.is_empty(), "{left:?} after {done}");
        let find = cmd!("find", ".git", "-name", "*.lock", "-o", "-name", "tmp_*", "-o", "-name", "*.keep");
        let found = self.stack.with_environment(find).stdout_capture().run()?;
        ensure!(found.stdout.is_empty(), "{} after {done}", String::from_utf8_lossy(&found.stdout));
        Ok(())
    }
}

#[test]
fn a_git_remote_that_says_nothing_is_given_up_and_named() -> Result<()> {
    let stage = Stage::set()?;
    stage.server.stall_after(0);
    for scheme in ["git", "http", "ssh"] {
        stage.reach_by(scheme)?;
        stage.gives_up(&["update", "--yes"], scheme)?;
    }
    stage.gives_up(&["update", "--check"], "ssh")?;
    // The doctor looks at this host, and is not held up.
    stage.reach_by("git")?;
    let begun = Instant::now();
    let done = stage.stack.xr(&["doctor", "--online"])?.exits(0);
    ensure!(begun.elapsed() < BOUND, "{:?} for {done}", begun.elapsed());
    stage.nobody_is_left(&done)?;

    // Whoever does not want to wait has to ask once.
    std::fs::remove_file(stage.stack.root.join(".xr/site.toml"))?;
    stage.server.stall_after(0);
    let before = stage.stack.snapshot()?;
    let run = stage.stack.start_xr(&["update", "--yes"])?;
    wait_for("the question", PATIENCE, || stage.server.asked() > 0 || run.ended())?;
    run.signal(Signal::TERM)?;
    let begun = Instant::now();
    let done = run.end()?.exits(130);
    ensure!(begun.elapsed() < BOUND, "{:?} for {done}", begun.elapsed());
    assert_eq!(before, stage.stack.snapshot()?);
    stage.nobody_is_left(&done)?;

    stage.server.behave();
    stage.stack.xr(&["update", "--check"])?.exits(10);
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    stage.stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn a_git_remote_that_stalls_in_the_middle_of_a_release_is_given_up_and_named() -> Result<()> {
    let stage = Stage::set()?;
    stage.server.stall_after(1_000_000);
    stage.gives_up(&["update", "--yes"], "git")?;
    stage.gives_up(&["update", "--check"], "git")?;
    assert_eq!(stage.server.asked(), 4, "each asks, is answered, and fetches");
    stage.server.behave();
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    stage.stack.assert_all_of_it_is("v1.1.0")?;

    // As many objects as this git does not take in one by one, but as a pack.
    stage.release("v1.3.0", 150)?;
    stage.server.stall_after(1_000_000);
    stage.gives_up(&["update", "--yes"], "git")?;
    stage.server.behave();
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    stage.stack.assert_all_of_it_is("v1.3.0")
}
