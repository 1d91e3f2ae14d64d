//! Pure choices: which tag, and whether going there would be an upgrade.

use xr_model::{Fault, Result, Version};

use crate::{Channel, Request, Tag, release::Current};

/// The tags that can be releases of the same product as the current version: semantic ones, or those of its own form.
pub(crate) fn related(tags: &[Tag], request: &Request) -> Vec<Tag> {
    let family = request.current.as_ref().and_then(|(version, _)| version.family());
    tags.iter().filter(|tag| tag.version.family() == family).cloned().collect()
}

/// The newest tag that channel and constraint allow.
pub(crate) fn newest<'a>(tags: &'a [Tag], request: &Request) -> Option<&'a Tag> {
    let allowed = |tag: &&Tag| request.channel == Channel::Dev || !tag.version.is_prerelease();
    tags.iter().filter(allowed).filter(|tag| fits(&tag.version, request)).max_by(|a, b| rank(a, b))
}

/// The tag of `wanted`: the one spelled so, else one that means the same.
pub(crate) fn named<'a>(tags: &'a [Tag], wanted: &Version) -> Option<&'a Tag> {
    let same = || tags.iter().filter(|tag| tag.version == *wanted);
    same().find(|tag| tag.name == wanted.as_str()).or_else(|| same().max_by(|a, b| rank(a, b)))
}

/// By version; of two spellings of one version the one with a `v` wins.
fn rank(a: &Tag, b: &Tag) -> std::cmp::Ordering {
    a.version.cmp(&b.version).then_with(|| a.name.starts_with('v').cmp(&b.name.starts_with('v')))
}

/// Whether the constraint allows `version`; on the dev channel a pre-release counts as the release it leads to.
pub(crate) fn fits(version: &Version, request: &Request) -> bool {
    let Some(constraint) = &request.constraint else { return true };
    let Some(semantic) = version.semver() else { return false };
    let mut release = semantic.clone();
    release.pre = semver::Prerelease::EMPTY;
    constraint.matches(semantic) || (request.channel == Channel::Dev && constraint.matches(&release))
}

/// The five known versions nearest to `wanted`, newest first.
pub(crate) fn nearest(tags: &[Tag], wanted: &Version) -> Vec<String> {
    let mut known: Vec<&Tag> = tags.iter().collect();
    known.sort_by(|a, b| rank(b, a));
    let at = known.iter().position(|tag| tag.version < *wanted).unwrap_or(known.len());
    let from = at.saturating_sub(2).min(known.len().saturating_sub(5));
    known.iter().skip(from).take(5).map(|tag| tag.name.clone()).collect()
}

/// How a version found relates to the current one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// It is to be installed.
    Go,
    /// It is the current one.
    Same(&'a Current),
    /// It is older than the current one and was not asked for.
    Older(&'a Current),
}

/// Judges `found`; an older version that was asked for is refused unless allowed.
pub(crate) fn judge<'a>(found: &Version, request: &'a Request) -> Result<Step<'a>> {
    let Some(current) = &request.current else { return Ok(Step::Go) };
    if *found == current.0 {
        return Ok(Step::Same(current));
    }
    if *found > current.0 || request.allow_downgrade {
        return Ok(Step::Go);
    }
    if request.to.is_none() {
        return Ok(Step::Older(current));
    }
    Err(Fault::new(format!("{found} is older than {}, which is installed", current.0)).hint(format!(
        "xr rollback --to {found}   # where xr history has it; else: xr update --to {found} --allow-downgrade"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Vec<Tag> {
        let tag = |name: &&str| Tag {
            name: (*name).to_owned(),
            version: name.parse().expect(name),
            object: "o".into(),
            commit: "c".into(),
        };
        names.iter().map(tag).collect()
    }

    const ALL: [&str; 6] = ["v1.9.0", "v1.10.0", "1.10.0", "v2.0.0-dev.1", "v1.10.1-rc.1", "v0.9"];

    #[test]
    fn channel_and_constraint_choose() {
        let table = [
            (Channel::Stable, None, Some("v1.10.0")),
            (Channel::Dev, None, Some("v2.0.0-dev.1")),
            (Channel::Stable, Some("~1.9"), Some("v1.9.0")),
            (Channel::Dev, Some("^1.9"), Some("v1.10.1-rc.1")),
            (Channel::Stable, Some(">=2"), None),
        ];
        for (channel, constraint, expected) in table {
            let constraint = constraint.map(|text: &str| text.parse().expect(text));
            let request = Request { channel, constraint, ..Request::default() };
            assert_eq!(newest(&tags(&ALL), &request).map(|tag| tag.name.as_str()), expected);
        }
    }

    #[test]
    fn a_version_is_found_in_either_spelling() {
        for (wanted, expected) in [
            ("1.9.0", Some("v1.9.0")),
            ("1.10.0", Some("1.10.0")),
            ("v1.10.0", Some("v1.10.0")),
            ("v0.9.0", Some("v0.9")),
            ("v3", None),
        ] {
            let all = tags(&ALL);
            assert_eq!(named(&all, &wanted.parse().expect(wanted)).map(|tag| tag.name.as_str()), expected);
        }
    }

    #[test]
    fn the_nearest_versions_are_offered() {
        let all = tags(&["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0", "v1.5.0", "v1.6.0"]);
        assert_eq!(nearest(&all, &"v9".parse().expect("v9")), ["v1.6.0", "v1.5.0", "v1.4.0", "v1.3.0", "v1.2.0"]);
        assert_eq!(nearest(&all, &"v1.3.5".parse().expect("v")), ["v1.5.0", "v1.4.0", "v1.3.0", "v1.2.0", "v1.1.0"]);
        assert_eq!(nearest(&all, &"v0.1".parse().expect("v")), ["v1.4.0", "v1.3.0", "v1.2.0", "v1.1.0", "v1.0.0"]);
        assert!(nearest(&[], &"v1".parse().expect("v")).is_empty());
    }

    #[test]
    fn nothing_is_downgraded_silently() {
        let current = Some(("v1.1.0".parse().expect("v"), None));
        let follow = Request { current, ..Request::default() };
        let version = |text: &str| text.parse().expect(text);
        assert_eq!(judge(&version("v1.2.0"), &follow).expect("up"), Step::Go);
        assert!(matches!(judge(&version("1.1"), &follow).expect("same"), Step::Same(_)));
        assert!(matches!(judge(&version("v1.0.0"), &follow).expect("down"), Step::Older(_)));
        let asked = Request { to: Some(version("v1.0.0")), ..follow };
        assert!(
            judge(&version("v1.0.0"), &asked)
                .expect_err("down")
                .hint
                .is_some_and(|hint| hint.contains("--allow-downgrade"))
        );
        assert_eq!(judge(&version("v1.0.0"), &Request { allow_downgrade: true, ..asked }).expect("allowed"), Step::Go);
    }
}
