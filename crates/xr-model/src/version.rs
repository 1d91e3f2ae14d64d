//! A release's version, spelled as its publisher spells it and ordered by Semantic Versioning.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A version such as `v1.1.0`, `1.2`, `24.05.1` or `v2.0.0-dev.3`.
///
/// The spelling is kept (it names git tags and image tags); order and equality follow
/// [SemVer 2.0.0 §11](https://semver.org/#spec-item-11) after a leading `v` is dropped, missing parts are
/// read as zero and leading zeros (calendar versions) are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parsed: semver::Version,
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version such as v1.2.3")]
pub struct VersionError(pub String);

impl Version {
    /// The publisher's spelling, e.g. `v1.1.0`: what the git tag and the image tag are called.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same version in the other spelling: with a leading `v`, or without. None when that would be no version.
    pub fn respelled(&self) -> Option<Self> {
        match self.text.strip_prefix(['v', 'V']) {
            Some(bare) => bare.parse().ok(),
            None => format!("v{}", self.text).parse().ok(),
        }
    }

    /// The same version, with a leading `v` when `sample` has one and without when not.
    #[must_use]
    pub fn spelled_like(&self, sample: &Self) -> Self {
        let with_v = |version: &Self| version.text.starts_with(['v', 'V']);
        let other = if with_v(self) == with_v(sample) { None } else { self.respelled() };
        other.unwrap_or_else(|| self.clone())
    }

    /// Whether this is a pre-release (`-dev.1`, `-rc.2`).
    pub fn is_prerelease(&self) -> bool {
        !self.parsed.pre.is_empty()
    }

    /// The semantic version behind the spelling.
    pub fn semver(&self) -> &semver::Version {
        &self.parsed
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bad = || VersionError(text.to_owned());
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let core_end = bare.find(['-', '+']).unwrap_or(bare.len());
        let (core, rest) = bare.split_at(core_end);
        let mut parts = Vec::with_capacity(3);
        for part in core.split('.') {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad());
            }
            parts.push(part.parse::<u64>().map_err(|_| bad())?);
        }
        if parts.len() > 3 || (parts.len() == 1 && text.len() == bare.len()) {
            return Err(bad()); // `2024` alone is more likely a typo than a version; `v2` is one
        }
        parts.resize(3, 0);
        let parsed = format!("{}.{}.{}{rest}", parts[0], parts[1], parts[2]).parse().map_err(|_| bad())?;
        Ok(Self { text: text.to_owned(), parsed })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parsed == other.parsed
    }
}
impl Eq for Version {}
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp(&other.parsed)
    }
}
impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}
impl From<Version> for String {
    fn from(version: Version) -> String {
        version.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_can_be_spelled_with_a_v_and_without() {
        let version = |text: &str| text.parse::<Version>().expect(text);
        assert_eq!(version("v1.2.0").spelled_like(&version("1.1")).as_str(), "1.2.0");
        assert_eq!(version("1.2.0").spelled_like(&version("v1.1")).as_str(), "v1.2.0");
        assert_eq!(version("v2").spelled_like(&version("1.1")).as_str(), "v2");
    }

    #[test]
    fn spellings_publishers_use_are_versions() {
        for text in ["v1.1.0", "1.1.0", "v1.36", "v2", "24.05.1", "v1.0.0-dev.1", "1.2.3-rc.1+build.5"] {
            assert_eq!(text.parse::<Version>().expect(text).as_str(), text);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "v",
            "latest",
            "main",
            "1.2.3.4",
            "v1..2",
            "1.2.x",
            "v1.2.3 ",
            "2024",
            "v1.0.0-",
            "99999999999999999999.1.1",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn order_is_semantic_not_textual() {
        let mut all: Vec<Version> = ["v1.10.0", "v1.9.0", "v1.10.0-dev.2", "v1.10.0-dev.10", "1.2"]
            .iter()
            .map(|t| t.parse().expect(t))
            .collect();
        all.sort();
        let spelled: Vec<_> = all.iter().map(Version::as_str).collect();
        assert_eq!(spelled, ["1.2", "v1.9.0", "v1.10.0-dev.2", "v1.10.0-dev.10", "v1.10.0"]);
    }
}
