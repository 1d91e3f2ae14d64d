//! The fleet: hosts beside the control host that run the product's agent and its tasks.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};

use crate::PinnedImage;

/// A worker, as the admin has it in `.xr/site.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// What it is called here.
    pub name: String,
    /// Its destination, as the admin's ssh takes it: `user@host`, an alias of `~/.ssh/config`, `ssh://user@host:port`.
    pub ssh: String,
    /// Under which address it reaches the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// What tasks choose it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether it gets no new tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
}

impl Worker {
    /// Whether it has all of these labels; `key` alone asks for any value.
    pub fn matches(&self, wanted: &[(String, Option<String>)]) -> bool {
        wanted
            .iter()
            .all(|(key, value)| self.labels.get(key).is_some_and(|has| value.as_ref().is_none_or(|value| value == has)))
    }
}

/// How many workers must have the new version for a run to succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quorum {
    /// Every worker that takes part.
    #[default]
    All,
    /// More than half of all workers.
    Majority,
    /// So many.
    AtLeast(usize),
}

impl Quorum {
    /// How many of the fleet's `all` workers, of which `present` take part.
    pub fn of(self, all: usize, present: usize) -> usize {
        match self {
            Self::All => present,
            Self::Majority => all / 2 + 1,
            Self::AtLeast(count) => count,
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Majority => f.write_str("majority"),
            Self::AtLeast(count) => write!(f, "{count}"),
        }
    }
}

impl Serialize for Quorum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtLeast(count) => serializer.serialize_u64(*count as u64),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for Quorum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuorumVisitor)
    }
}

struct QuorumVisitor;

impl Visitor<'_> for QuorumVisitor {
    type Value = Quorum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\", \"majority\" or a number of workers")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Quorum, E> {
        match word {
            "all" => Ok(Quorum::All),
            "majority" => Ok(Quorum::Majority),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Quorum, E> {
        let wrong = || E::invalid_value(Unexpected::Unsigned(count), &self);
        usize::try_from(count).map(Quorum::AtLeast).map_err(|_| wrong())
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Quorum, E> {
        let wrong = || E::invalid_value(Unexpected::Signed(count), &self);
        usize::try_from(count).map(Quorum::AtLeast).map_err(|_| wrong())
    }
}

/// What becomes of a run when a worker does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Away {
    /// It waits a while for its return, then is given up.
    Wait,
    /// It goes on without it, which catches up at its return.
    #[default]
    Skip,
    /// It is given up before anything is touched.
    Abort,
}

/// What the workers shall have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredFleet {
    /// The images that each needs.
    pub images: Vec<PinnedImage>,
    /// Whether each runs an agent.
    pub agent: bool,
    /// How many must have the new version.
    pub quorum: Quorum,
    /// How many workers there are, the absent ones too.
    pub all: usize,
}

/// A worker that takes part in a run, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedWorker {
    /// Its name.
    pub name: String,
    /// What its engine has of the wanted images: ids.
    pub images: Vec<String>,
    /// Whether its agent is the wanted one and runs.
    pub up_to_date: bool,
}
