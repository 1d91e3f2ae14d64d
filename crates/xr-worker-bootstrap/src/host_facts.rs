//! What a host is: one question, one answer.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use xr_host::{Cmd, Remote};
use xr_model::{Fault, Result};

const HOST_FACTS: &str = include_str!("scripts/host_facts.sh");
const LOAD: &str = include_str!("scripts/load.sh");

/// What a host is. Sizes in KiB.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The system's name, e.g. `Debian GNU/Linux 13 (trixie)`.
    pub os: String,
    /// `Linux`, and nothing else will do.
    pub kernel: String,
    /// The machine's architecture, as uname tells it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Whether the user is root or may become so without a password.
    pub may_be_root: bool,
    /// Whether the program `docker` is there.
    pub has_client: bool,
    /// Whether the program `flock` is there, by which two replacements of an agent keep apart.
    pub has_flock: bool,
    /// Whether systemd ends what a connection that breaks has left running (`KillUserProcesses` of logind.conf(5)).
    pub ends_with_connection: bool,
    /// Free room where the engine keeps its images, or would.
    pub disk_free: u64,
    /// All of that disk.
    pub disk_size: u64,
    /// Load of the last minute.
    pub load: f64,
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory: u64,
    /// Memory that a new program could have.
    pub memory_free: u64,
    /// How much its clock is ahead of this host's, in seconds, half of the question's duration uncertain.
    pub ahead: f64,
    /// How long the question took.
    pub took: Duration,
    /// The address that this host's connection comes from, as the other one sees it.
    pub from: String,
}

/// Looks at everything.
///
/// # Errors
/// When the connection breaks or the answer cannot be read.
pub async fn host_facts(remote: &Remote, limit: Duration) -> Result<HostFacts> {
    ask(remote, HOST_FACTS, limit).await
}

/// Looks at what changes from minute to minute.
///
/// # Errors
/// As [`host_facts`].
pub async fn load_of(remote: &Remote, limit: Duration) -> Result<HostFacts> {
    ask(remote, LOAD, limit).await
}

/// The same of this host.
///
/// # Errors
/// When no shell can be started.
pub async fn load_here() -> Result<HostFacts> {
    let (before, begun) = (now(), Instant::now());
    let text = Cmd::new("sh").args(["-c", LOAD]).run_async().await?.text();
    let took = begun.elapsed();
    Ok(read(&text, before + took.as_secs_f64() / 2.0, took))
}

async fn ask(remote: &Remote, script: &str, limit: Duration) -> Result<HostFacts> {
    let before = now();
    let begun = Instant::now();
    let output = remote.sh(script, b"", limit).await?;
    let took = begun.elapsed();
    let text = output.text();
    if !text.contains("clock=") {
        return Err(Fault::new(format!(
            "{} does not answer as a POSIX shell does: {}",
            remote.destination(),
            output.error_text()
        ))
        .hint(format!("ssh {} 'exec sh -c :'   must say nothing", remote.destination())));
    }
    Ok(read(&text, before + took.as_secs_f64() / 2.0, took))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

fn read(text: &str, middle: f64, took: Duration) -> HostFacts {
    let said: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let word = |key: &str| said.get(key).map(|text| text.trim().to_owned()).unwrap_or_default();
    let number = |key: &str| said.get(key).and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    let clock: Option<f64> = said.get("clock").and_then(|text| text.trim().trim_end_matches(".N").parse().ok());
    HostFacts {
        os: word("os"),
        kernel: word("kernel"),
        arch: word("arch"),
        may_be_root: matches!(word("root").as_str(), "yes" | "sudo"),
        has_client: said.contains_key("client"),
        has_flock: said.contains_key("flock"),
        ends_with_connection: said.contains_key("ends"),
        disk_free: number("disk_free"),
        disk_size: number("disk_size"),
        load: said.get("load").and_then(|text| text.trim().parse().ok()).unwrap_or_default(),
        cpus: u32::try_from(number("cpus")).unwrap_or(1).max(1),
        memory: number("memory"),
        memory_free: number("memory_free"),
        ahead: clock.map_or(0.0, |clock| clock - middle),
        took,
        from: word("from"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_missing_is_nothing() {
        let text = "os=Debian\nkernel=Linux\narch=x86_64\nclock=1000.5\nroot=sudo\nclient=yes\ndisk_free=1024\nload=0.25\ncpus=2\n";
        let facts = read(text, 1000.0, Duration::from_millis(10));
        assert!(facts.may_be_root && facts.has_client);
        assert_eq!((facts.disk_free, facts.cpus, facts.memory), (1024, 2, 0));
        assert!((facts.ahead - 0.5).abs() < 1e-9 && (facts.load - 0.25).abs() < 1e-9);
        let odd = read("clock=12.N\ncpus=x\n", 12.0, Duration::ZERO);
        assert!(odd.ahead.abs() < 1e-9 && odd.cpus == 1);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "writes the programs that are run")]
    fn a_host_that_ends_what_a_connection_leaves_says_so_unless_its_user_lingers() {
        let facts = |kills: &str, lingers: &str, id: &str| {
            let dir = tempfile::tempdir().unwrap();
            let program = |name: &str, text: &str| {
                use std::os::unix::fs::PermissionsExt;
                let path = dir.path().join(name);
                std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            };
            program("id", &format!("case $1 in -u) echo {id} ;; *) echo somebody ;; esac"));
            program(
                "loginctl",
                &format!("case $2 in somebody) echo Linger={lingers} ;; *) echo KillUserProcesses={kills} ;; esac"),
            );
            let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", dir.path().display());
            let text = Cmd::new("sh").args(["-c", HOST_FACTS]).env("PATH", path).run().unwrap().text();
            read(&text, 0.0, Duration::ZERO).ends_with_connection
        };
        assert!(facts("yes", "no", "1000"));
        assert!(!facts("yes", "yes", "1000"));
        assert!(!facts("no", "no", "1000"));
        assert!(!facts("yes", "no", "0"));
    }
}
