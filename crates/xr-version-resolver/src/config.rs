//! As much of `.git/config` as saves starting a git process: remotes and what branches follow.

use std::collections::BTreeMap;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// Remote name → its first URL.
    pub remotes: BTreeMap<String, String>,
    /// Branch → (remote, the full ref it follows there).
    pub upstreams: BTreeMap<String, (String, String)>,
    /// Whether it sets `core.sshCommand`, or includes files that might.
    pub ssh_command: bool,
}

/// Reads the text of a git configuration file; what is not understood is skipped.
pub(crate) fn parse(text: &str) -> Config {
    let mut config = Config::default();
    let (mut section, mut name) = (String::new(), String::new());
    let mut follows: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            (section, name) = heading(header);
            config.ssh_command |= section.starts_with("include");
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), unquote(value.trim()));
        match (section.as_str(), key.as_str()) {
            ("core", "sshcommand") => config.ssh_command = true,
            ("remote", "url") => drop(config.remotes.entry(name.clone()).or_insert(value)),
            ("branch", "remote") => follows.entry(name.clone()).or_default().0 = Some(value),
            ("branch", "merge") => follows.entry(name.clone()).or_default().1 = Some(value),
            _ => {}
        }
    }
    for (branch, pair) in follows {
        if let (Some(remote), Some(merge)) = pair
            && remote != "."
        {
            config.upstreams.insert(branch, (remote, merge));
        }
    }
    config
}

/// `remote "origin"]` → (`remote`, `origin`).
fn heading(header: &str) -> (String, String) {
    let header = header.rsplit_once(']').map_or(header, |(inner, _)| inner);
    match header.split_once('"') {
        Some((section, rest)) => (section.trim().to_ascii_lowercase(), unquote(&format!("\"{rest}"))),
        None => (header.trim().to_ascii_lowercase(), String::new()),
    }
}

/// Drops quotes, backslash escapes, and a trailing comment.
fn unquote(value: &str) -> String {
    let (mut out, mut quoted, mut chars) = (String::new(), false, value.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => out.extend(chars.next()),
            '#' | ';' if !quoted => break,
            _ => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_and_upstreams_of_a_plain_clone() {
        let config = parse(
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://example.org/a.git ; mine\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
             [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n[branch \"odd\\\"one\"]\n remote = .\n merge = refs/heads/main\n",
        );
        assert_eq!(config.remotes["origin"], "https://example.org/a.git");
        assert_eq!(config.upstreams["main"], ("origin".to_owned(), "refs/heads/main".to_owned()));
        assert_eq!(config.upstreams.len(), 1, "a branch that follows a local one has no remote");
        assert!(!config.ssh_command);
    }

    #[test]
    fn an_ssh_command_or_an_include_is_noticed() {
        assert!(parse("[core]\nsshCommand = ssh -i key").ssh_command);
        assert!(parse("[includeIf \"gitdir:/x\"]\npath = y").ssh_command);
    }
}
