//! Which keys count, and whether they must.

use std::{fmt, fs, io, path::PathBuf};

use xr_journal::{Generations, Home};
use xr_model::{Fault, Generation, Result};
use xr_stack::{SiteTrust, Trust};
use xr_trust::{KeyFile, Keys};

use crate::release_keys::{read_keys, regular};

/// By whose word keys count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The admin's, for one run.
    Given,
    /// The admin's settings.
    Site,
    /// The generation that serves.
    Generation(u32),
    /// The release's own: nothing was there before it.
    Release,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("--trust-key"),
            Self::Site => f.write_str(".xr/site.toml"),
            Self::Generation(number) => write!(f, "generation {number}"),
            Self::Release => f.write_str("the release itself"),
        }
    }
}

/// Which keys count, and whether they must.
#[derive(Debug)]
pub struct Policy {
    /// By whose word.
    pub origin: Origin,
    /// The keys.
    pub keys: Keys,
    /// Whether a release is refused that is not signed with them.
    pub required: bool,
    /// What the publisher has said so far.
    pub published: Trust,
}

impl Policy {
    /// The same, when a release that nothing was known of asks for signatures itself.
    pub fn tightened(self, site: &SiteTrust, brought: &Trust) -> Self {
        let required = self.required || (brought.required && !site.accept_unsigned);
        Self { required, ..self }
    }
}

/// What decides about it.
pub struct Rules<'a> {
    /// The stack's records.
    pub home: &'a Home,
    /// What the admin demands.
    pub site: &'a SiteTrust,
    /// Files that the admin names for one run.
    pub given: &'a [PathBuf],
}

impl Rules<'_> {
    /// The policy for what comes after `current`; none when nothing says a word of trust yet.
    ///
    /// # Errors
    /// Keys that cannot be read, or that are required and named nowhere.
    pub fn policy(&self, current: Option<&Generation>, generations: &Generations) -> Result<Option<Policy>> {
        let published = current.map(|current| published(current, generations)).transpose();
        let said = published.as_ref().ok().and_then(Option::as_ref).map(|(trust, _)| trust.clone()).unwrap_or_default();
        let own = |origin: Origin, named: &[PathBuf], what: &str| -> Result<Policy> {
            let files = named.iter().map(|path| {
                let name = format!("{what}: {}", path.display());
                let bytes = xr_stack::read_small(path).map_err(|error| unreadable(&name, error))?;
                Ok(KeyFile { name, bytes })
            });
            self.with(origin, Keys::read(files.collect::<Result<_>>()?)?, said.clone())
        };
        if !self.given.is_empty() {
            // Who hands over a key wants it used.
            return own(Origin::Given, self.given, "--trust-key")
                .map(|policy| Some(Policy { required: true, ..policy }));
        }
        if !self.site.keys.is_empty() {
            let named: Vec<PathBuf> = self.site.keys.iter().map(|name| self.home.path().join(name)).collect();
            return own(Origin::Site, &named, &format!("{}: trust.keys", self.home.site().display())).map(Some);
        }
        let Some(((trust, keys), current)) = published?.zip(current) else { return Ok(None) };
        self.with(Origin::Generation(current.number), keys, trust).map(Some)
    }

    /// A policy with these keys.
    ///
    /// # Errors
    /// Required keys that are named nowhere.
    pub fn with(&self, origin: Origin, keys: Keys, published: Trust) -> Result<Policy> {
        let required = !self.site.accept_unsigned && (self.site.required || published.required);
        if required && keys.is_empty() {
            return Err(Fault::new(format!(
                "{}: trust.required = true, but neither it nor the publisher's xr.toml names a key",
                self.home.site().display()
            ))
            .hint("[trust] keys = [\"/etc/product/release.asc\"]   # the key that the publisher gave you"));
        }
        Ok(Policy { origin, keys, required, published })
    }
}

/// What a generation's release said of trust, and its keys, as the generation keeps them.
fn published(generation: &Generation, generations: &Generations) -> Result<(Trust, Keys)> {
    // Its one folder is named like the stack's, which may have been renamed since.
    let folder = generations.files(generation.number);
    let root =
        fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    let Some(root) = root else {
        if generation.verified.is_empty() {
            return Ok((Trust::default(), Keys::default()));
        }
        return Err(Fault::new(format!(
            "{} is empty: the keys that the next release is checked with are lost",
            folder.display()
        ))
        .hint("xr update --trust-key FILE   # the publisher's public key"));
    };
    let manifest = root.join("xr.toml");
    let trust = match regular(&manifest)? {
        Some(bytes) => xr_stack::trust_of(&manifest, bytes)?,
        None => Trust::default(),
    };
    let keys = read_keys(&root, &trust)?;
    Ok((trust, keys))
}

fn unreadable(name: &str, error: io::Error) -> Fault {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let fault = Fault::new(if missing { format!("{name} does not exist") } else { format!("cannot read {name}") });
    let fault = if missing { fault } else { fault.because(error) };
    fault
        .hint("name the file that holds the publisher's public key, by its absolute path (in site.toml also from .xr/)")
}
