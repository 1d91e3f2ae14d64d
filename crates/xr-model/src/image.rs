//! Image references and digests, in the grammar of the
//! [distribution reference](https://github.com/distribution/reference) package.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A content digest such as `sha256:ab12…` (64 hex digits).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first twelve hex digits, as `docker images` shows them.
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An image reference as written in a compose file: `[registry/]repository[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageRef(String);

impl ImageRef {
    /// Takes a reference as it stands.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The reference as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything before the tag and the digest: `acme/server` of `acme/server:v1@sha256:…`.
    pub fn name(&self) -> &str {
        let bare = self.0.split_once('@').map_or(self.0.as_str(), |(name, _)| name);
        match bare.rfind(':') {
            Some(colon) if !bare[colon..].contains('/') => &bare[..colon],
            _ => bare,
        }
    }

    /// The tag, when one is written.
    pub fn tag(&self) -> Option<&str> {
        let bare = self.0.split_once('@').map_or(self.0.as_str(), |(name, _)| name);
        bare.get(self.name().len() + 1..)
    }

    /// The digest, when one is written.
    pub fn digest(&self) -> Option<Digest> {
        self.0.split_once('@').map(|(_, digest)| Digest(digest.to_owned()))
    }

    /// The registry's host, `None` for Docker Hub's short names. The first path part is a host when it holds a
    /// dot or a colon or is `localhost`.
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.name().split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// Whether the tag may come to mean other content: `latest`, no tag, or a tag with fewer than three numbers.
    /// A reference with a digest never floats.
    pub fn floats(&self) -> bool {
        if self.digest().is_some() {
            return false;
        }
        match self.tag() {
            None | Some("latest") => true,
            Some(tag) => {
                tag.split(['.', '-']).filter(|part| part.trim_start_matches('v').parse::<u64>().is_ok()).count() < 3
            }
        }
    }

    /// `name@digest`: the same image, pinned.
    pub fn pinned(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.name())
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One line of a generation's lock: which content a reference stood for when it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// The reference as the compose file spells it.
    pub reference: ImageRef,
    /// The registry's digest (of the index, where the image has several platforms); none for an image built here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The engine's own id of the image, `sha256:…`; empty until it is on the disk.
    #[serde(default)]
    pub image_id: String,
    /// The services that run it; empty for images the product starts itself (a worker).
    pub services: Vec<String>,
    /// Whether the reference carries the release's own version (as opposed to `postgres:15`).
    pub versioned: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart_at_the_right_places() {
        let cases = [
            ("postgres:15", "postgres", Some("15"), None),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b", Some("v1"), Some("localhost:5000")),
            ("localhost:5000/a/b", "localhost:5000/a/b", None, Some("localhost:5000")),
            ("ghcr.io/a/b:v1@sha256:00", "ghcr.io/a/b", Some("v1"), Some("ghcr.io")),
            ("a/b@sha256:00", "a/b", None, None),
        ];
        for (text, name, tag, registry) in cases {
            let image = ImageRef::new(text);
            assert_eq!((image.name(), image.tag(), image.registry()), (name, tag, registry), "{text}");
        }
    }

    #[test]
    fn only_full_versions_and_digests_do_not_float() {
        for (text, floats) in [
            ("a", true),
            ("a:latest", true),
            ("postgres:15", true),
            ("redis:7-alpine", true),
            ("a:v1.2.3", false),
            ("a:1.2.3-alpine", false),
            ("a@sha256:00", false),
        ] {
            assert_eq!(ImageRef::new(text).floats(), floats, "{text}");
        }
    }
}
