//! Images: what they are called, and how their programs behave.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// What the program of an image does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs, and is healthy when it has a health check.
    Serves,
    /// Answers a published port with the version of what stands behind these names. They are looked up when it starts, as
    /// nginx does; without them it does not start.
    Proxies(&'static [&'static str]),
    /// Runs, and its check fails.
    NeverHealthy,
    /// Is healthy, and ends with 1 after that long; again and again where it is restarted.
    CrashesAfter(Duration),
}

/// An image in the simulated registry.
#[derive(Clone, Debug)]
pub struct Image {
    /// `name:tag`
    pub reference: String,
    /// What its program does.
    pub behaviour: Behaviour,
}

impl Image {
    /// The registry's digest, and the engine's id, of this image.
    pub(crate) fn digest(&self) -> String {
        let hash = Sha256::digest(self.reference.as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }

    pub(crate) fn name(&self) -> &str {
        self.reference.rsplit_once(':').map_or(&self.reference, |(name, _)| name)
    }

    pub(crate) fn tag(&self) -> &str {
        self.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag)
    }
}

/// The images of the example product, behaving as its releases do.
pub fn orbit(prefix: &str) -> Vec<Image> {
    let plain = |reference: &str| Image { reference: reference.to_owned(), behaviour: Behaviour::Serves };
    let mut images = vec![plain("postgres:15"), plain("redis:7-alpine")];
    for release in xr_lab::RELEASES.iter().filter(|release| release.images) {
        for part in xr_lab::Image::ALL {
            let behaviour = match (part, release.version) {
                (xr_lab::Image::Nginx, _) => Behaviour::Proxies(&["server", "frontend"]),
                (xr_lab::Image::Server, "v1.2.0") => Behaviour::NeverHealthy,
                (xr_lab::Image::Server, "v1.2.1") => Behaviour::CrashesAfter(Duration::from_secs(1)),
                _ => Behaviour::Serves,
            };
            images.push(Image { reference: part.name(prefix, release.version), behaviour });
        }
    }
    images
}
