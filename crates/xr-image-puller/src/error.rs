//! What can be wrong with an image, in the cases a caller may want to tell apart.

use std::fmt;

use xr_model::{Fault, exit};

/// Why an image could not be resolved or pulled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The registry answers, and does not have it.
    #[error("image {} is not in its registry ({})", .0.image, .0.registry)]
    Missing(Failure),
    /// The registry wants a login. Docker Hub says so of repositories that do not exist, too.
    #[error("{} refuses image {}: it does not exist there, or is private", .0.registry, .0.image)]
    Denied(Failure),
    /// The registry does not answer, or answers with a server error.
    #[error("registry {} cannot be reached for image {}", .0.registry, .0.image)]
    Unreachable(Failure),
    /// The registry has had enough of this address.
    #[error("registry {} limits the rate of downloads (image {})", .0.registry, .0.image)]
    RateLimited(Failure),
    /// What came is not what the digest promises.
    #[error("registry {} served other content than promised for image {}", .0.registry, .0.image)]
    DigestMismatch(Failure),
    /// The engine's disk is full.
    #[error("no space left in {root} for image {}", .failure.image)]
    NoSpace {
        /// What failed.
        failure: Failure,
        /// The engine's data directory.
        root: String,
    },
    /// The Docker engine failed, or refuses the image for a reason of its own.
    #[error("the Docker engine cannot fetch image {} from {}", .0.image, .0.registry)]
    Engine(Failure),
}

/// Which image, from where, and the words of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The image as the compose file spells it.
    pub image: String,
    /// The registry or mirror that was asked, `docker.io` for Docker Hub.
    pub registry: String,
    /// What the engine said; what other sources said comes after it.
    pub detail: String,
    /// Whether the same request may succeed a little later.
    pub transient: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl PullError {
    /// Which image, from where, why.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Missing(failure)
            | Self::Denied(failure)
            | Self::Unreachable(failure)
            | Self::RateLimited(failure)
            | Self::DigestMismatch(failure)
            | Self::NoSpace { failure, .. }
            | Self::Engine(failure) => failure,
        }
    }

    fn failure_mut(&mut self) -> &mut Failure {
        match self {
            Self::Missing(failure)
            | Self::Denied(failure)
            | Self::Unreachable(failure)
            | Self::RateLimited(failure)
            | Self::DigestMismatch(failure)
            | Self::NoSpace { failure, .. }
            | Self::Engine(failure) => failure,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        self.failure().transient
    }

    /// Adds what another source, or another part of the same one, said.
    pub(crate) fn also(mut self, said: &str) -> Self {
        let detail = &mut self.failure_mut().detail;
        if !detail.is_empty() {
            detail.push_str("; ");
        }
        detail.push_str(said);
        self
    }

    /// The same failure, of an image that was asked for under another name.
    pub(crate) fn about(mut self, image: &str) -> Self {
        self.failure_mut().image = image.to_owned();
        self
    }

    /// The error for the admin. The exit code is [`exit::TRY_LATER`] when the registry may answer later, else
    /// [`exit::FAILED`]: nothing has changed.
    pub fn into_fault(self) -> Fault {
        let registry = &self.failure().registry;
        let hint = match &self {
            Self::Missing(_) => {
                "it may still be being published: try again later, or choose another version".to_owned()
            }
            Self::Denied(_) => match registry.as_str() {
                "docker.io" => format!("`{}` if it is private; else check the name and the tag", login()),
                host => format!("`{} {host}` if it is private; else check the name and the tag", login()),
            },
            Self::Unreachable(failure) if failure.detail.contains("HTTP response to HTTPS client") => {
                format!("{registry} does not speak TLS: name it in insecure-registries of /etc/docker/daemon.json")
            }
            Self::Unreachable(failure) if failure.detail.contains("no progress for") => {
                "check the network of the engine's host; `patience` under [network] in .xr/site.toml is for a slow one, a mirror for a bad one".to_owned()
            }
            Self::Unreachable(_) => {
                "check the network and DNS of the engine's host, or add a mirror to .xr/site.toml".to_owned()
            }
            Self::RateLimited(_) => format!("`{}`, or add a mirror to .xr/site.toml, or try again later", login()),
            Self::DigestMismatch(_) => {
                "do not trust this registry or mirror until its owner has explained it".to_owned()
            }
            Self::NoSpace { .. } => "make room with `xr prune`; `docker system df` shows what takes it".to_owned(),
            Self::Engine(_) => "`docker info` shows whether the engine is well".to_owned(),
        };
        let detail = self.failure().detail.clone();
        let silent = self.is_transient() && matches!(self, Self::Unreachable(_) | Self::RateLimited(_));
        let code = if silent { exit::TRY_LATER } else { exit::FAILED };
        let fault = Fault::new(self.to_string()).hint(hint).code(code);
        if detail.is_empty() { fault } else { fault.because(detail) }
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        error.into_fault()
    }
}

/// The command that logs in as the user who xr runs as: a login of one's own counts for nothing under sudo.
fn login() -> &'static str {
    if std::env::var_os("SUDO_USER").is_some() { "sudo docker login" } else { "docker login" }
}
