//! What apt says, read: candidates from `apt-cache policy`, and the mirror this machine uses.

use std::fs;

/// The packages that may hold the engine, its client, and compose; asked for in one go.
pub(super) const ASKED: [&str; 9] = [
    "docker-ce",
    "docker.io",
    "docker-cli",
    "docker-buildx",
    "docker-buildx-plugin",
    "docker-compose-plugin",
    "docker-compose-v2",
    "docker-compose",
    "apparmor",
];

/// In this order the compose plugin is looked for; Debian 12's `docker-compose` is version 1 and does not count.
pub(super) const COMPOSE: [&str; 3] = ["docker-compose-plugin", "docker-compose-v2", "docker-compose"];

/// One package in `apt-cache policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub package: String,
    pub candidate: Option<String>,
    /// Each known version with the lines of its sources.
    pub versions: Vec<(String, Vec<String>)>,
}

/// Reads `apt-cache policy a b c`; packages apt has never heard of are not in it.
pub(super) fn parse_policy(text: &str) -> Vec<Policy> {
    let mut found: Vec<Policy> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim();
        if indent == 0 {
            if let Some(package) = words.strip_suffix(':') {
                found.push(Policy { package: package.to_owned(), ..Policy::default() });
            }
            continue;
        }
        let Some(policy) = found.last_mut() else { continue };
        if let Some(version) = words.strip_prefix("Candidate:") {
            policy.candidate = Some(version.trim().to_owned()).filter(|version| version != "(none)");
        } else if words.contains(':')
            && words.split(':').next().is_some_and(|key| matches!(key, "Installed" | "Version table"))
        {
            continue;
        } else if indent <= 5 {
            // `     2.26.1-4 500`, or ` *** 1.29.2-3 100` for the installed one
            if let Some(version) = words.trim_start_matches("*** ").split_whitespace().next() {
                policy.versions.push((version.to_owned(), Vec::new()));
            }
        } else if let Some((_, sources)) = policy.versions.last_mut() {
            sources.push(words.to_owned());
        }
    }
    found
}

/// The candidate of `package`.
pub(super) fn candidate<'a>(policies: &'a [Policy], package: &str) -> Option<&'a str> {
    policies.iter().find(|policy| policy.package == package)?.candidate.as_deref()
}

/// What to hand to `apt-get install` for compose 2: a package, or `package=version` from the backports.
pub(super) fn compose_package(policies: &[Policy]) -> Option<String> {
    let by_candidate =
        COMPOSE.iter().find(|name| candidate(policies, name).is_some_and(is_two)).map(|name| (*name).to_owned());
    by_candidate.or_else(|| {
        policies.iter().filter(|policy| COMPOSE.contains(&policy.package.as_str())).find_map(|policy| {
            let backport = |sources: &[String]| sources.iter().any(|source| source.contains("-backports"));
            let (version, _) =
                policy.versions.iter().find(|(version, sources)| is_two(version) && backport(sources))?;
            Some(format!("{}={version}", policy.package))
        })
    })
}

/// Debian versions may begin with an epoch: `5:2.29.1-1`.
fn is_two(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 2)
}

/// Every source file of this machine, text only.
pub(super) fn source_texts() -> Vec<String> {
    let mut files = vec!["/etc/apt/sources.list".into()];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(parts.filter(|path| path.extension().is_some_and(|ext| ext == "list" || ext == "sources")));
    files[1..].sort();
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// The URI that serves `suite` to this machine, in either of apt's formats (sources.list(5)).
pub(super) fn mirror_of(texts: &[String], suite: &str) -> Option<String> {
    texts.iter().find_map(|text| one_line(text, suite).or_else(|| deb822(text, suite)))
}

fn one_line(text: &str, suite: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace();
        let uri = words.next()?;
        (words.next()? == suite).then(|| uri.to_owned())
    })
}

fn deb822(text: &str, suite: &str) -> Option<String> {
    let text: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then_some(value)
            })
        };
        let has =
            |name: &str, word: &str| field(name).is_some_and(|value| value.split_whitespace().any(|one| one == word));
        let enabled = !has("Enabled", "no");
        (enabled && has("Types", "deb") && has("Suites", suite))
            .then(|| field("URIs")?.split_whitespace().next().map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(package: &str, candidate: &str, table: &str) -> String {
        format!("{package}:\n  Installed: (none)\n  Candidate: {candidate}\n  Version table:\n{table}")
    }

    const MIRROR: &str = "        500 http://deb.debian.org/debian bookworm/main amd64 Packages\n";

    fn bookworm() -> String {
        policy("docker-compose", "1.29.2-3", &format!("     1.29.2-3 500\n{MIRROR}"))
    }

    #[test]
    fn apt_policy_is_read_with_versions_and_sources() {
        let installed = " *** 20.10.24+dfsg1-1 500\n        500 http://deb.debian.org/debian bookworm/main amd64 Packages\n        100 /var/lib/dpkg/status\n";
        let found = parse_policy(&format!("{}{}", policy("docker.io", "20.10.24+dfsg1-1", installed), bookworm()));
        assert_eq!(candidate(&found, "docker.io"), Some("20.10.24+dfsg1-1"));
        assert_eq!(found[0].versions[0].1.len(), 2);
        assert_eq!(candidate(&found, "docker-ce"), None);
        assert_eq!(candidate(&parse_policy(&policy("docker-ce", "(none)", "")), "docker-ce"), None);
        assert!(parse_policy("").is_empty());
    }

    #[test]
    fn compose_two_is_taken_from_the_first_package_that_has_it() {
        let trixie = policy("docker-compose", "2.26.1-4", &format!("     2.26.1-4 500\n{MIRROR}"));
        let noble = policy("docker-compose-v2", "2.24.6+ds1-0ubuntu2", "") + &policy("docker-compose", "1.29.2-6", "");
        let docker = policy("docker-compose-plugin", "5:2.29.1-1~debian.12", "") + &bookworm();
        let backports = policy(
            "docker-compose",
            "1.29.2-3",
            &format!(
                "     2.26.1-4~bpo12+1 100\n        100 http://m/debian bookworm-backports/main amd64 Packages\n     1.29.2-3 500\n{MIRROR}"
            ),
        );
        for (text, expected) in [
            (trixie, Some("docker-compose")),
            (noble, Some("docker-compose-v2")),
            (docker, Some("docker-compose-plugin")),
            (backports, Some("docker-compose=2.26.1-4~bpo12+1")),
            (bookworm(), None),
            (String::new(), None),
        ] {
            assert_eq!(compose_package(&parse_policy(&text)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_machine_s_own_mirror_is_found_in_both_formats() {
        let deb822 = "# main\nTypes: deb\n# note\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\n\n\
                      Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\n";
        for (text, expected) in [
            (deb822, Some("http://m.example/debian")),
            ("deb http://o.example/debian bookworm main", Some("http://o.example/debian")),
            (
                "deb [arch=amd64 signed-by=/k.gpg] https://o.example/debian/ bookworm main",
                Some("https://o.example/debian/"),
            ),
            ("# deb http://o.example/debian bookworm main\ndeb-src http://o.example bookworm main", None),
            ("Types: deb\nEnabled: no\nURIs: http://m.example/debian\nSuites: bookworm\n", None),
            ("deb http://s.example/debian-security bookworm-security main", None),
        ] {
            assert_eq!(mirror_of(&[text.to_owned()], "bookworm").as_deref(), expected, "{text}");
        }
    }
}
