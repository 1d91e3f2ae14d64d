//! Where an image may come from: as written, then the admin's mirrors.

use xr_model::{Digest, Fault, ImageRef, exit};

use crate::{Credentials, watch::Arrivals};

/// Mirrors and logins, in the order in which they are tried. Pulls that go on at once share one.
#[derive(Debug, Default)]
pub struct Sources {
    mirrors: Vec<Mirror>,
    pub(crate) credentials: Credentials,
    pub(crate) arrivals: Arrivals,
}

/// `from` (a registry, `docker.io` for Docker Hub) is also served below `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    from: String,
    to: String,
}

/// Docker Hub's name.
const HUB: &str = "docker.io";

/// One place an image may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The repository as the engine is asked for it: `mirror.example/library/postgres`.
    pub name: String,
    /// The tag, `latest` when none is written.
    pub tag: String,
    /// The registry's host, for messages and logins.
    pub registry: String,
    /// Whether this is what the compose file says.
    pub as_written: bool,
}

impl Candidate {
    /// `name@digest` when the digest is known, else `name:tag`.
    pub fn reference(&self, digest: Option<&Digest>) -> String {
        match digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => format!("{}:{}", self.name, self.tag),
        }
    }
}

impl Sources {
    /// Mirrors as the admin writes them: `host[:port][/prefix]` for images of Docker Hub, `from=to` for those of
    /// another registry. A scheme and a closing slash, as pasted from elsewhere, are taken off.
    ///
    /// # Errors
    /// A mirror whose first part the engine would not take for a host.
    pub fn new(mirrors: &[String], credentials: Credentials) -> xr_model::Result<Self> {
        let mirrors = mirrors.iter().map(|text| Mirror::parse(text)).collect::<xr_model::Result<_>>()?;
        Ok(Self { mirrors, credentials, arrivals: Arrivals::default() })
    }

    /// The places `image` may come from, best first.
    pub(crate) fn candidates(&self, image: &ImageRef) -> Vec<Candidate> {
        let (from, path) = split(image);
        let candidate = |name: String, registry: &str, as_written| Candidate {
            name,
            tag: image.tag().unwrap_or("latest").to_owned(),
            registry: registry.to_owned(),
            as_written,
        };
        let mut all = vec![candidate(image.name().to_owned(), &from, true)];
        for mirror in self.mirrors.iter().filter(|mirror| mirror.from == from) {
            let host = mirror.to.split('/').next().unwrap_or_default();
            let next = candidate(format!("{}/{path}", mirror.to), host, false);
            if all.iter().all(|known| known.name != next.name) {
                all.push(next);
            }
        }
        all
    }

    /// Docker Hub by the name of its registry, which no registry mirror of the engine stands before.
    pub(crate) fn hub_itself(image: &ImageRef) -> Option<Candidate> {
        let (from, path) = split(image);
        (from == HUB).then(|| Candidate {
            name: format!("registry-1.docker.io/{path}"),
            tag: image.tag().unwrap_or("latest").to_owned(),
            registry: "registry-1.docker.io".to_owned(),
            as_written: false,
        })
    }
}

/// Registry and repository path, Docker Hub's short forms written out.
fn split(image: &ImageRef) -> (String, String) {
    let name = image.name();
    match image.registry() {
        Some(host) if !matches!(host, HUB | "index.docker.io") => (host.to_owned(), name[host.len() + 1..].to_owned()),
        other => {
            let path = other.map_or(name, |host| &name[host.len() + 1..]);
            let path = if path.contains('/') { path.to_owned() } else { format!("library/{path}") };
            (HUB.to_owned(), path)
        }
    }
}

impl Mirror {
    fn parse(text: &str) -> xr_model::Result<Self> {
        let (from, to) = text.split_once('=').unwrap_or((HUB, text));
        let clean = |part: &str| {
            let part = part.trim();
            let part = part.strip_prefix("https://").or_else(|| part.strip_prefix("http://")).unwrap_or(part);
            part.trim_end_matches('/').to_owned()
        };
        let mirror = Self { from: clean(from), to: clean(to) };
        for host in [&mirror.from, &mirror.to] {
            // The same rule as the engine's: without these, `mirror/library/postgres` is a repository of Docker Hub.
            if ImageRef::new(format!("{host}/x")).registry().is_none() || host.contains(char::is_whitespace) {
                return Err(Fault::new(format!("mirror {text:?} does not begin with a registry's host"))
                    .hint("write host[:port][/prefix], such as mirror.example:5000, or from=to, such as ghcr.io=mirror.example/ghcr")
                    .code(exit::USAGE));
            }
        }
        Ok(mirror)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mirrors: &[&str], image: &str) -> Vec<String> {
        let mirrors: Vec<_> = mirrors.iter().map(ToString::to_string).collect();
        let sources = Sources::new(&mirrors, Credentials::none()).unwrap();
        sources.candidates(&ImageRef::new(image)).into_iter().map(|c| c.reference(None)).collect()
    }

    #[test]
    fn a_mirror_of_docker_hub_holds_official_images_under_library() {
        let hub = ["https://mirror.example/", "127.0.0.1:5000/hub"];
        assert_eq!(
            names(&hub, "postgres:15"),
            ["postgres:15", "mirror.example/library/postgres:15", "127.0.0.1:5000/hub/library/postgres:15"]
        );
        assert_eq!(
            names(&hub, "docker.io/acme/server"),
            [
                "docker.io/acme/server:latest",
                "mirror.example/acme/server:latest",
                "127.0.0.1:5000/hub/acme/server:latest"
            ]
        );
        assert_eq!(names(&hub, "docker.io/redis:7")[1], "mirror.example/library/redis:7");
    }

    #[test]
    fn a_mirror_serves_only_the_registry_it_is_named_for() {
        let pair = ["ghcr.io=mirror.example/ghcr"];
        assert_eq!(names(&pair, "ghcr.io/a/b:v1"), ["ghcr.io/a/b:v1", "mirror.example/ghcr/a/b:v1"]);
        assert_eq!(names(&pair, "a/b:v1"), ["a/b:v1"]);
        assert_eq!(names(&["mirror.example"], "ghcr.io/a/b:v1"), ["ghcr.io/a/b:v1"]);
    }

    #[test]
    fn a_mirror_the_engine_would_take_for_a_repository_is_refused() {
        for text in ["mirror", "mirror/library", "", "a=mirror.example", "ghcr.io=", "a b.example"] {
            let fault = Sources::new(&[text.to_owned()], Credentials::none()).unwrap_err();
            assert_eq!(fault.code, exit::USAGE, "{text}");
        }
    }

    #[test]
    fn a_known_digest_is_asked_for_instead_of_the_tag() {
        let sources = Sources::default();
        let candidate = &sources.candidates(&ImageRef::new("a/b:v1"))[0];
        assert_eq!(candidate.reference(Some(&Digest("sha256:00".into()))), "a/b@sha256:00");
    }
}
