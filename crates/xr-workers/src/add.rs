//! Making a host a worker: everything is looked at before anything is changed, and taken back when something fails.

use std::time::Duration;

use xr_host::{Remote, Trouble};
use xr_model::{Fault, Level, Result, Worker, exit};
use xr_session::Session;
use xr_stack::ImagesFrom;
use xr_worker_bootstrap::{Agent, HostFacts, host_facts, install_docker, remove_docker};

use crate::{
    Target,
    observe::{self, named},
    register::refuse_unfit,
    sync::bring,
};

/// How far a worker's clock may be off, in seconds: certificates and tokens fail beyond.
const SKEW: f64 = 30.0;
/// Room that Docker and the images need at least, in KiB.
const ROOM: u64 = 1 << 20;

pub use xr_host::HostKey;

/// A host that may become a worker, as it is.
pub struct Candidate {
    /// As it would be listed.
    pub worker: Worker,
    /// What it is.
    pub facts: HostFacts,
    /// Whether Docker will be installed there.
    pub needs_docker: bool,
    /// What the admin should know, and nothing stands in the way of.
    pub notes: Vec<String>,
    remote: Remote,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Added {
    /// Whether Docker was installed.
    pub installed_docker: bool,
}

/// The key of a host that was never accepted; none when it was.
///
/// # Errors
/// When the host is not reached for another reason, or its key is not the one that was accepted.
pub async fn host_key(session: &Session<'_>, worker: &Worker) -> Result<Option<HostKey>> {
    refuse_unfit(session, worker)?;
    let ssh = session.ssh()?;
    // A group that the user has joined since counts from the next login on.
    ssh.disconnect(&worker.ssh).await;
    match ssh.connect(&worker.ssh).await {
        Ok(_) => Ok(None),
        Err(unreached) if unreached.kind == Trouble::UnknownHostKey => ssh.unknown_key(&worker.ssh).await.map(Some),
        Err(unreached) => Err(unreached.fault),
    }
}

/// Looks at a host that shall become a worker. Changes nothing.
///
/// # Errors
/// Names what stands in the way.
pub async fn probe(session: &Session<'_>, target: &Target, mut worker: Worker) -> Result<Candidate> {
    refuse_unfit(session, &worker)?;
    target.refuse_none()?;
    let remote = observe::reach(session, &worker).await.map_err(|absent| absent.fault)?;
    let patience = session.site.fleet.patience;
    let facts = host_facts(&remote, patience).await?;
    let stands = |text: String, hint: String| Err(Fault::new(format!("{}: {text}", worker.ssh)).hint(hint));
    if facts.kernel != "Linux" {
        return stands(
            format!("its system is {}, and a worker runs Linux", facts.kernel),
            "xr worker add ANOTHER".to_owned(),
        );
    }
    let ours = std::env::consts::ARCH;
    if facts.arch != ours && !(facts.arch == "arm64" && ours == "aarch64") {
        return stands(
            format!("its machine is {}, and the images here are for {ours}", facts.arch),
            "a worker needs the architecture of the control host".to_owned(),
        );
    }
    // The engine alone will not do: its replacement is done by the program.
    let needs_docker = !facts.has_client;
    if needs_docker && !facts.may_be_root {
        return stands(
            "Docker is missing, and this user may not become root without a password".to_owned(),
            format!(
                "install Docker there, or: xr worker add root@{}",
                worker.ssh.rsplit('@').next().unwrap_or_default()
            ),
        );
    }
    if facts.disk_size > 0 && facts.disk_free < ROOM {
        return stands(
            format!("{} MiB are free for images, and {} MiB are needed", facts.disk_free >> 10, ROOM >> 10),
            format!("ssh {} df -h /var/lib", worker.ssh),
        );
    }
    if !facts.has_flock {
        return stands(
            "`flock` is missing, by which two replacements of an agent keep apart".to_owned(),
            format!("install util-linux there, then: xr worker add {}", worker.ssh),
        );
    }
    let mut notes = Vec::new();
    if facts.ends_with_connection {
        let text = "systemd ends what a broken connection leaves running, an agent's replacement too";
        notes.push(format!("{text} (sudo loginctl enable-linger, for this user)"));
    }
    if facts.ahead.abs() > SKEW {
        notes.push(format!(
            "its clock is off by {:.0} s: certificates and heartbeats may be refused (timedatectl set-ntp true)",
            facts.ahead
        ));
    }
    if !needs_docker {
        // Also whether this user may use it.
        let engine = remote.engine().await?;
        let info = engine.info().await?;
        notes.push(format!("Docker {}", info.version));
    }
    if worker.server.is_empty() {
        worker.server = server(session, target, &facts);
    }
    reach_server(&remote, &worker, patience).await?;
    if let Some(note) = unreached_registry(session, target, &remote, patience).await? {
        notes.push(note);
    }
    Ok(Candidate { worker, facts, needs_docker, notes, remote })
}

/// Makes it a worker. What was done is taken back when something fails.
///
/// # Errors
/// What failed; the host is then as it was.
pub async fn add(session: &Session<'_>, target: &Target, candidate: &Candidate, from: ImagesFrom) -> Result<Added> {
    let worker = &candidate.worker;
    let mut installed = Vec::new();
    if candidate.needs_docker {
        session.phase("docker");
        installed = install_docker(&candidate.remote).await?;
    }
    session.phase("agent");
    match bring(session, target, worker, 0, from).await {
        Ok(()) => Ok(Added { installed_docker: candidate.needs_docker }),
        Err(fault) => {
            let name = target.agent_name(&worker.name);
            let undone = async {
                let removed = Agent { name: &name, fingerprint: "" }.remove(&candidate.remote).await;
                remove_docker(&candidate.remote, &installed).await.and(removed)
            };
            // What it was before: a worker that was one already keeps its agent.
            let known = session.site.workers.iter().any(|other| other.name == worker.name);
            if !known && let Err(left) = undone.await {
                session.say(Level::Warning, format!("not all of it could be taken back: {}", left.chain()));
            }
            Err(named(fault, worker))
        }
    }
}

/// Under which address a worker reaches the server: as the admin says, else under the public name or the address that the
/// worker sees this host's connection come from, with the first published port.
fn server(session: &Session<'_>, target: &Target, facts: &HostFacts) -> String {
    if !session.site.fleet.server.is_empty() {
        return session.site.fleet.server.clone();
    }
    let manifest = &session.stack.manifest;
    let public = manifest.public_host.as_deref().and_then(|key| target.setting(key)).filter(|name| !name.is_empty());
    let host = public.map_or_else(|| facts.from.clone(), str::to_owned);
    let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let Some((port, target_port)) = target.published() else { return format!("http://{bracketed}") };
    let tls = xr_preflight::http::speaks_tls(port, target_port);
    let scheme = if tls { "https" } else { "http" };
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{bracketed}"),
        _ => format!("{scheme}://{bracketed}:{port}"),
    }
}

async fn reach_server(remote: &Remote, worker: &Worker, patience: Duration) -> Result<()> {
    let Some((host, port)) = place(&worker.server) else {
        return Err(Fault::new(format!("`{}` is no address of a server", worker.server))
            .hint("--server http://HOST:PORT")
            .code(exit::USAGE));
    };
    match remote.reaches(&host, port, patience).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Fault::new(format!("{} does not reach the server at {}", worker.ssh, worker.server)).hint(format!(
                "open port {port} to it, or name another address: xr worker add {} --server http://HOST:PORT",
                worker.ssh
            )))
        }
        Err(fault) => Err(fault),
    }
}

/// What to know when the registry is out of its reach.
async fn unreached_registry(
    session: &Session<'_>,
    target: &Target,
    remote: &Remote,
    patience: Duration,
) -> Result<Option<String>> {
    let Some(image) = target.images.iter().find(|image| image.digest.is_some()) else { return Ok(None) };
    let (host, port) = match image.reference.registry() {
        None => ("registry-1.docker.io".to_owned(), 443),
        Some(registry) => place(&format!("https://{registry}")).unwrap_or((registry.to_owned(), 443)),
    };
    if remote.reaches(&host, port, patience).await.unwrap_or(false) || !session.site.mirrors.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("it does not reach {host}; images come from its engine's own mirrors, or from here")))
}

/// Host and port of an address: `https://[::1]:8443/x`.
fn place(address: &str) -> Option<(String, u16)> {
    let (scheme, rest) = address.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, behind) = v6.split_once(']')?;
            (host.to_owned(), behind.strip_prefix(':').map_or(Some(default), |port| port.parse().ok())?)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().ok()?),
            None => (authority.to_owned(), default),
        },
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (address, host, port) in [
            ("http://10.0.0.1", "10.0.0.1", 80),
            ("https://a.example.com/x", "a.example.com", 443),
            ("http://a:8083", "a", 8083),
            ("https://[fd00::1]:8443", "fd00::1", 8443),
        ] {
            assert_eq!(place(address), Some((host.to_owned(), port)), "{address}");
        }
        for odd in ["10.0.0.1", "ftp://x", "http://", "http://x:y", "https://[::1"] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
