//! The admin's own settings, `.xr/site.toml`.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use xr_model::{Away, Fault, Quorum, Result, Worker};

use crate::{
    duration, presets,
    worker_list::{refuse_odd, worker_lines},
};

/// Which releases an update takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Releases.
    #[default]
    Stable,
    /// Pre-releases too.
    Dev,
}

/// `.xr/site.toml`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Which releases an update takes.
    pub channel: Channel,
    /// Registry mirrors, tried in order when a registry does not answer: `host[:port][/prefix]`, or `registry=mirror`.
    pub mirrors: Vec<String>,
    /// Services left out at install.
    pub without: Vec<String>,
    /// How patient xr is with registries and the git remote.
    #[serde(skip_serializing_if = "Network::is_default")]
    pub network: Network,
    /// Which signatures the admin asks for.
    pub trust: SiteTrust,
    /// How workers are treated.
    #[serde(skip_serializing_if = "Fleet::is_default")]
    pub fleet: Fleet,
    /// The workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<Worker>,
}

/// `[fleet]`: how workers are treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// How many workers must have a new version for a run to succeed.
    pub quorum: Quorum,
    /// What becomes of a run when a worker does not answer.
    pub away: Away,
    /// How long the return of such a worker is waited for with `away = "wait"`.
    #[serde(deserialize_with = "patience", serialize_with = "duration::write")]
    pub wait: Duration,
    /// How long a worker may be silent before it counts as away.
    #[serde(deserialize_with = "patience", serialize_with = "duration::write")]
    pub patience: Duration,
    /// How long a worker that was switched waits for the word that all went well, before it goes back by itself.
    #[serde(deserialize_with = "patience", serialize_with = "duration::write")]
    pub confirm: Duration,
    /// How many workers are worked on at once.
    pub at_once: usize,
    /// Where workers take images from.
    pub images_from: ImagesFrom,
    /// Under which address workers reach the server, for those that say nothing else: `https://product.example.com`.
    pub server: String,
}

/// Where workers take images from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImagesFrom {
    /// From the registry; from here when they do not reach it.
    #[default]
    Auto,
    /// From the registry.
    Registry,
    /// From the control host: only the layers that they lack.
    Here,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            quorum: Quorum::All,
            away: Away::Skip,
            wait: Duration::from_secs(600),
            patience: Duration::from_secs(15),
            confirm: Duration::from_secs(900),
            at_once: 16,
            images_from: ImagesFrom::Auto,
            server: String::new(),
        }
    }
}

impl Fleet {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How patient xr is with registries and the git remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// How long one of them may make no progress before it counts as silent; also how long a registry that limits the rate of
    /// downloads is waited for. A second at least.
    #[serde(deserialize_with = "patience", serialize_with = "duration::write")]
    pub patience: Duration,
    /// How often a pull is tried in all, from every source that may have it; at least once.
    #[serde(deserialize_with = "tries")]
    pub tries: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60), tries: 5 }
    }
}

impl Network {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    let read = duration::read(deserializer)?;
    if read < Duration::from_secs(1) { Err(D::Error::custom("expected a second at least")) } else { Ok(read) }
}

fn tries<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u32, D::Error> {
    let read = u32::deserialize(deserializer)?;
    if read == 0 { Err(D::Error::custom("expected 1 at least")) } else { Ok(read) }
}

/// `[trust]` of `.xr/site.toml`: it can ask for more than the publisher does, and for less only by `accept_unsigned`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteTrust {
    /// Whether a release is refused that is not signed, whatever its publisher says.
    pub required: bool,
    /// Whether a release that is not signed is taken, whatever its publisher says.
    pub accept_unsigned: bool,
    /// Files with public keys, absolute or from `.xr/`; when there are any, they alone count.
    pub keys: Vec<String>,
    /// Files of the tree, from the root, that are the admin's own and in no publisher's list.
    pub own: Vec<String>,
}

impl SiteTrust {
    fn refuse_contradiction(&self, path: &Path) -> Result<()> {
        if self.required && self.accept_unsigned {
            return Err(Fault::new(format!(
                "{}: trust: `required` and `accept_unsigned` contradict each other",
                path.display()
            ))
            .hint("take one of the two out"));
        }
        Ok(())
    }
}

impl Site {
    /// Reads the settings; the defaults when there is no file.
    ///
    /// # Errors
    /// A fault that points at the spot.
    pub fn read(path: &Path) -> Result<Self> {
        match presets::read_small(path) {
            Ok(bytes) => {
                let text = presets::text_of(path, bytes)?;
                let hint = "docs/xr-toml.md has every key of site.toml; an empty file will do too";
                let site: Self =
                    toml::from_str(&text).map_err(|error| presets::point_at(path, &text, &error).hint(hint))?;
                site.trust.refuse_contradiction(path)?;
                refuse_odd(path, &site.workers, || worker_lines(&text))?;
                Ok(site)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let folder = path.parent().unwrap_or(path).display();
                Err(Fault::new(format!("cannot read {}", path.display()))
                    .because(error)
                    .hint(format!("ls -la {folder}   (a folder of its owner's, 0700)")))
            }
        }
    }

    /// The settings as text for `.xr/site.toml`.
    ///
    /// # Errors
    /// Never in practice; a value TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(Fault::at("cannot write site settings"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Site, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_networks_patience_is_written_as_it_is_read() {
        let site = read("[network]\npatience = \"90s\"").unwrap();
        assert_eq!(site.network, Network { patience: Duration::from_secs(90), tries: 5 });
        assert_eq!(read(&site.to_toml().unwrap()).unwrap().network, site.network);
        assert!(!Site::default().to_toml().unwrap().contains("network"), "a default may change");
    }

    #[test]
    fn a_quorum_is_a_word_or_a_number_of_workers() {
        for (text, quorum) in [("\"all\"", Quorum::All), ("\"majority\"", Quorum::Majority), ("2", Quorum::AtLeast(2))]
        {
            let site = read(&format!("[fleet]\nquorum = {text}\npatience = \"1s\"")).unwrap();
            assert_eq!(site.fleet.quorum, quorum);
            assert_eq!(read(&site.to_toml().unwrap()).unwrap().fleet, site.fleet);
        }
        for (text, odd) in [("\"most\"", "string \"most\""), ("-1", "integer `-1`"), ("0.5", "floating point `0.5`")] {
            let said = read(&format!("[fleet]\nquorum = {text}")).unwrap_err();
            assert!(said.contains(odd), "{said}");
            assert!(said.contains("expected \"all\", \"majority\" or a number of workers"), "{said}");
        }
    }

    #[test]
    fn no_patience_at_all_is_refused() {
        for (text, said) in [
            ("patience = \"0s\"", "expected a second at least"),
            ("patience = \"soon\"", "`soon` is not a duration such as \"500ms\", \"10s\" or \"2m\""),
            ("tries = 0", "expected 1 at least"),
        ] {
            assert_eq!(read(&format!("[network]\n{text}")).unwrap_err().trim(), said);
        }
    }
}
