//! A release's version, spelled as its publisher spells it and ordered by Semantic Versioning.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A version such as `v1.1.0`, `1.2`, `24.05.1` or `v2.0.0-dev.3`, or a publisher's own such as `2026-07a`, `release-7`.
///
/// The spelling is kept (it names git tags and image tags). Order and equality of the first kind follow
/// [SemVer 2.0.0 §11](https://semver.org/#spec-item-11) after a leading `v` is dropped, missing parts are
/// read as zero and leading zeros (calendar versions) are ignored. The others are ordered as people read them, numbers as
/// numbers, and stand before all of the first kind; only those of one [family](Version::family) are versions of one product.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parsed: Option<semver::Version>,
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version such as v1.2.3")]
pub struct VersionError(pub String);

/// Characters of the longest version.
const LONGEST: usize = 100;

impl Version {
    /// The publisher's spelling, e.g. `v1.1.0`: what the git tag and the image tag are called.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same version in the other spelling: with a leading `v`, or without. None when that would be no version, or none of
    /// Semantic Versioning.
    pub fn respelled(&self) -> Option<Self> {
        self.parsed.as_ref()?;
        let other = match self.text.strip_prefix(['v', 'V']) {
            Some(bare) => bare.parse(),
            None => format!("v{}", self.text).parse(),
        };
        other.ok().filter(|other: &Self| other.parsed.is_some())
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
        self.parsed.as_ref().is_some_and(|parsed| !parsed.pre.is_empty())
    }

    /// The semantic version behind the spelling; none of a publisher's own form.
    pub fn semver(&self) -> Option<&semver::Version> {
        self.parsed.as_ref()
    }

    /// What versions of one product have in common: nothing for semantic ones, else what stands before the first digit.
    pub fn family(&self) -> Option<&str> {
        if self.parsed.is_some() {
            return None;
        }
        let digit = self.text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        Some(&self.text[..digit])
    }
}

/// The semantic version that a text spells.
fn semantic(text: &str) -> Option<semver::Version> {
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let core_end = bare.find(['-', '+']).unwrap_or(bare.len());
    let (core, rest) = bare.split_at(core_end);
    let mut parts = Vec::with_capacity(3);
    for part in core.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        parts.push(part.parse::<u64>().ok()?);
    }
    if parts.len() > 3 || (parts.len() == 1 && text.len() == bare.len()) {
        return None; // `2024-07` is a date; `v2` is a version
    }
    parts.resize(3, 0);
    format!("{}.{}.{}{rest}", parts[0], parts[1], parts[2]).parse().ok()
}

/// Whether a text may be a publisher's own version: a word with a number in it, which can be part of a file name and an
/// image's tag.
fn is_own_form(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let ends_well = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && text.bytes().all(plain)
        && ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
        && text.bytes().any(|b| b.is_ascii_digit())
        && !text.contains("..")
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parsed = semantic(text);
        if parsed.is_none() && !is_own_form(text) {
            return Err(VersionError(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parsed })
    }
}

/// A text in pieces that people tell apart: numbers, and what is between them.
fn pieces(text: &str) -> Vec<(bool, &str)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != number).unwrap_or(rest.len());
        pieces.push((number, &rest[..end]));
        rest = &rest[end..];
    }
    pieces
}

/// As people read them: `7` before `10`, `2026-07` before `2026-07a` before `2026-08`.
fn natural(a: &str, b: &str) -> Ordering {
    for (a, b) in pieces(a).into_iter().zip(pieces(b)) {
        let order = match (a, b) {
            ((true, a), (true, b)) => {
                let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            ((a_number, a), (b_number, b)) => (!a_number, a).cmp(&(!b_number, b)),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    pieces(a).len().cmp(&pieces(b).len()).then_with(|| a.cmp(b))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
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
        match (&self.parsed, &other.parsed) {
            (None, None) => natural(&self.text, &other.text),
            (one, other) => one.cmp(other),
        }
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
            "", "v", "latest", "main", "v1..2", "v1.2.3 ", "v1.0.0-", "-1", "../v1", "v1/2", "a b1", "v1;x", "1$(x)",
            "v1\n",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!("1".repeat(200).parse::<Version>().is_err());
    }

    #[test]
    fn forms_of_a_publishers_own_are_ordered_as_people_read_them() {
        let version = |text: &str| text.parse::<Version>().expect(text);
        for row in [
            ["2026-07", "2026-07a", "2026-07b", "2026-08", "2026-10"].as_slice(),
            &["release-7", "release-10", "release-11"],
            &["stable-999-9", "stable-1114-2", "stable-1114-10"],
            &["1.2.3.4", "1.2.3.10", "1.2.4.0"],
            &["2022-07-15-17-01", "2022-07-15-17-30", "2022-11-01-00-00"],
            &["7", "8", "10", "v0.0.1"],
        ] {
            let mut all: Vec<Version> = row.iter().rev().map(|text| version(text)).collect();
            all.sort();
            assert_eq!(all.iter().map(Version::as_str).collect::<Vec<_>>(), row);
        }
        assert_eq!(version("stable-1114-2").family(), Some("stable-"));
        assert_eq!((version("2026-07a").family(), version("v1.2").family()), (Some(""), None));
        assert!(version("2026-07a") != version("2026-7a") && version("2026-07a").respelled().is_none());
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
