//! A connection to a Docker engine.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error};
use xr_model::{Fault, Result};

use crate::context::{USUAL, chosen_engine};

/// A Docker engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) docker: Docker,
    version: String,
}

/// What an engine says of itself.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// Its version, e.g. `26.1.5`.
    pub version: String,
    /// Where it keeps images and volumes.
    pub root: String,
    /// `linux/amd64` and the like, as images name it.
    pub architecture: String,
}

/// Seconds an API call may take; the longest is stopping a container with a long grace period.
const CALL_TIMEOUT: u64 = 600;

/// How long an engine may take to answer a ping.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` or the Docker context names, else to `/var/run/docker.sock`, and agrees on an
    /// API version.
    ///
    /// # Errors
    /// When no engine answers: not installed, not running, no permission, or not a unix socket.
    pub fn connect() -> Result<Self> {
        let chosen = chosen_engine()?;
        let host = chosen.as_ref().map_or(USUAL, |chosen| chosen.host.as_str()).to_owned();
        if let Some(chosen) = chosen.filter(|chosen| !chosen.host.starts_with("unix://")) {
            return Err(Fault::new(format!("{} is {host}: xr reaches its engine through a unix socket", chosen.by))
                .hint("unset DOCKER_HOST, or docker context use default; or run xr on the host itself"));
        }
        let (api, version) = ping(host.trim_start_matches("unix://")).map_err(|error| explain(&host, &error))?;
        let docker = Docker::connect_with_unix(&host, CALL_TIMEOUT, &api)
            .map_err(Fault::at(format!("cannot reach the Docker engine at {host}")))?;
        Ok(Self { docker, version })
    }

    /// The engine that listens on this socket, which may lead to another host.
    ///
    /// # Errors
    /// When none answers.
    pub async fn at(socket: &Path) -> Result<Self> {
        let named = format!("no Docker engine answers at {}", socket.display());
        let path = socket.to_owned();
        let asked = tokio::task::spawn_blocking(move || ping(&path.to_string_lossy()));
        let (api, version) = asked.await.map_err(Fault::at(named.clone()))?.map_err(Fault::at(named.clone()))?;
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), CALL_TIMEOUT, &api);
        Ok(Self { docker: docker.map_err(Fault::at(named))?, version })
    }

    /// Waits until the engine answers again: one that is restarted is away for seconds. Tells whether it does.
    pub async fn await_answer(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if matches!(tokio::time::timeout(PING_TIMEOUT, self.docker.ping()).await, Ok(Ok(_))) {
                return true;
            }
            if begun.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The version that it told when it was first asked, e.g. `26.1.5`; empty when it did not tell.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The client below, for the image puller's streams.
    pub fn client(&self) -> &Docker {
        &self.docker
    }

    /// What the engine says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn info(&self) -> Result<EngineInfo> {
        let info = self.docker.info().await.map_err(Fault::at("the Docker engine does not answer"))?;
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_else(|| "/var/lib/docker".to_owned()),
            architecture: info.architecture.unwrap_or_default(),
        })
    }
}

/// The newest API version that both sides know, and the engine's own version, from the header of a ping: a hundred times
/// cheaper than `/version`, for which the engine starts programs of its own.
fn ping(socket: &str) -> io::Result<(ClientVersion, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING_TIMEOUT))?;
    stream.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(16 << 10).read_to_string(&mut answer)?;
    let theirs = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let (major, minor) = value.trim().split_once('.').filter(|_| name.eq_ignore_ascii_case("api-version"))?;
        Some((major.parse::<usize>().ok()?, minor.parse::<usize>().ok()?))
    });
    let ours = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let (major_version, minor_version) =
        theirs.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers is no Docker engine"))?.min(ours);
    // `Server: Docker/26.1.5 (linux)`, and `Server: Libpod/4.3.1 (linux)` of podman's socket
    let server = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server").then(|| value.split_whitespace().next().unwrap_or_default())
    });
    if let Some(version) = server.and_then(|server| server.strip_prefix("Libpod/")) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("it is podman {version}")));
    }
    let engine = server.and_then(|server| server.strip_prefix("Docker/")).unwrap_or_default();
    Ok((ClientVersion { major_version, minor_version }, engine.to_owned()))
}

fn explain(host: &str, error: &io::Error) -> Fault {
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            "there is no Docker engine",
            "systemctl start docker   (or: service docker start; not installed yet: xr install)",
        ),
        io::ErrorKind::PermissionDenied => (
            "this user may not reach the Docker engine",
            "run with sudo, or: sudo usermod -aG docker $USER, then log in again",
        ),
        io::ErrorKind::Unsupported => (
            "xr needs a Docker Engine, and another one answers",
            "docker context use default, unset DOCKER_HOST; no Docker Engine yet: xr install",
        ),
        _ => ("the Docker engine does not answer", "systemctl restart docker   (or: service docker restart)"),
    };
    Fault::new(format!("{message} at {host}: {error}")).hint(hint)
}

/// Whether the engine's answer was this HTTP status.
pub(crate) fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixListener,
    };

    use super::{explain, ping};

    #[test]
    fn a_socket_of_podmans_is_refused_in_one_line_and_dockers_tells_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let ask = |server: &str| {
            let answer = format!("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: {server}\r\n\r\n");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let asked = BufReader::new(&stream).lines().map_while(Result::ok);
                    assert_eq!(asked.take_while(|line| !line.is_empty()).next().unwrap(), "HEAD /_ping HTTP/1.1");
                    stream.write_all(answer.as_bytes()).unwrap();
                });
                ping(&path.to_string_lossy())
            })
        };
        assert_eq!(ask("Docker/26.1.5+dfsg1 (linux)").unwrap().1, "26.1.5+dfsg1");
        let fault = explain("unix:///run/podman/podman.sock", &ask("Libpod/4.3.1 (linux)").unwrap_err());
        assert_eq!(
            fault.to_string(),
            "xr needs a Docker Engine, and another one answers at unix:///run/podman/podman.sock: it is podman 4.3.1"
        );
    }
}
