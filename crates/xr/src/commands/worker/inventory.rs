//! Reading an inventory of workers: TOML as in `.xr/site.toml`, or Ansible's INI.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use xr_model::{Fault, Result, Worker, exit};

use super::add::name_of;

/// The workers of a TOML inventory.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    workers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    ssh: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads an inventory.
///
/// # Errors
/// Names file and line, and what was expected.
pub fn read(path: &Path) -> Result<Vec<Worker>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::new(format!("cannot read {}", path.display()))
            .because(error)
            .hint(format!("ls -l {}", path.display()))
            .code(exit::USAGE)
    })?;
    let workers = if looks_like_toml(path, &text) { toml(path, &text)? } else { ini(path, &text)? };
    if workers.is_empty() {
        return Err(Fault::new(format!("{}: no worker in it", path.display())).hint(HINT).code(exit::USAGE));
    }
    for (at, worker) in workers.iter().enumerate() {
        if let Some(why) = xr_stack::unfit(worker) {
            return Err(Fault::new(format!("{}: {why}", path.display())).hint(HINT).code(exit::USAGE));
        }
        if workers[..at].iter().any(|other| other.name == worker.name) {
            return Err(Fault::new(format!("{}: two workers are called `{}`", path.display(), worker.name))
                .hint("every worker needs a name of its own")
                .code(exit::USAGE));
        }
    }
    Ok(workers)
}

const HINT: &str = "docs/workers.md shows both forms: [[workers]] with ssh = \"user@host\", or Ansible's INI";

fn looks_like_toml(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "toml") || text.contains("[[workers]]")
}

fn toml(path: &Path, text: &str) -> Result<Vec<Worker>> {
    let inventory: Inventory = ::toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Fault::new(format!("{}:{line}: {}", path.display(), error.message())).hint(HINT).code(exit::USAGE)
    })?;
    let worker = |entry: Entry| Worker {
        name: entry.name.unwrap_or_else(|| name_of(&entry.ssh)),
        ssh: entry.ssh,
        server: entry.server,
        labels: entry.labels,
        drained: false,
    };
    Ok(inventory.workers.into_iter().map(worker).collect())
}

/// Ansible's INI: `[group]`, `host key=value …`, `[group:vars]`. A group becomes the label `group.NAME=yes`.
fn ini(path: &Path, text: &str) -> Result<Vec<Worker>> {
    let mut hosts: Vec<(String, BTreeMap<String, String>, Vec<String>)> = Vec::new();
    let mut group_vars: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut group, mut vars) = (String::new(), false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |what: &str| {
            Err(Fault::new(format!("{}:{}: {what}", path.display(), number + 1)).hint(HINT).code(exit::USAGE))
        };
        if let Some(inner) = line.strip_prefix('[') {
            let Some(name) = inner.strip_suffix(']') else { return wrong("a group has no `]`") };
            let (name, kind) = name.split_once(':').unwrap_or((name, ""));
            match kind {
                "" | "vars" => (group, vars) = (name.to_owned(), kind == "vars"),
                "children" => return wrong("groups of groups are not read: list the hosts themselves"),
                _ => return wrong("expected [GROUP] or [GROUP:vars]"),
            }
            continue;
        }
        let words = words(line);
        if vars {
            let Some((key, value)) = line.split_once('=') else { return wrong("expected KEY=VALUE") };
            group_vars.entry(group.clone()).or_default().insert(key.trim().to_owned(), unquoted(value.trim()));
            continue;
        }
        let Some((host, rest)) = words.split_first() else { continue };
        if host.contains('=') || host.contains('{') {
            return wrong("expected a host's name first");
        }
        if host.contains('[') {
            return wrong("ranges of hosts are not read: list them one by one");
        }
        let mut own = BTreeMap::new();
        for word in rest {
            let Some((key, value)) = word.split_once('=') else { return wrong("expected KEY=VALUE after the host") };
            own.insert(key.to_owned(), unquoted(value));
        }
        match hosts.iter_mut().find(|(name, ..)| name == host) {
            Some((_, known, groups)) => {
                known.extend(own);
                groups.push(group.clone());
            }
            None => hosts.push((host.clone(), own, vec![group.clone()])),
        }
    }
    let worker = |(host, own, groups): (String, BTreeMap<String, String>, Vec<String>)| {
        let lookup = |key: &str| {
            let of_group =
                || groups.iter().chain([&"all".to_owned()]).find_map(|group| group_vars.get(group)?.get(key).cloned());
            own.get(key).cloned().or_else(of_group)
        };
        let address = lookup("ansible_host").unwrap_or_else(|| host.clone());
        let user = lookup("ansible_user").map(|user| format!("{user}@")).unwrap_or_default();
        let ssh = match lookup("ansible_port") {
            Some(port) => format!("ssh://{user}{address}:{port}"),
            None => format!("{user}{address}"),
        };
        let mut labels: BTreeMap<String, String> =
            own.iter().filter(|(key, _)| !key.starts_with("ansible_")).map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.extend(
            groups.iter().filter(|group| !group.is_empty()).map(|group| (format!("group.{group}"), "yes".to_owned())),
        );
        Worker { name: name_of(&host), ssh, server: String::new(), labels, drained: false }
    };
    Ok(hosts.into_iter().map(worker).collect())
}

/// The words of a line, what is quoted kept together, a comment left out.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => {
                quote = None;
                word.push(c);
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.push(c);
            }
            ('#', None) if word.is_empty() => break,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn unquoted(text: &str) -> String {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansibles_inventory_is_read() {
        let text = "# ours\nsolo\n[web]\nw1 ansible_host=10.0.0.1 ansible_user=root zone=\"eu west\" # near\nw2 ansible_port=2222\n\n[web:vars]\nansible_user=deploy\n[gpu]\nw1\n";
        let read = ini(Path::new("hosts"), text).unwrap();
        let told: Vec<String> = read.iter().map(|w| format!("{} {} {:?}", w.name, w.ssh, w.labels)).collect();
        assert_eq!(
            told,
            [
                "solo solo {}",
                r#"w1 root@10.0.0.1 {"group.gpu": "yes", "group.web": "yes", "zone": "eu west"}"#,
                r#"w2 ssh://deploy@w2:2222 {"group.web": "yes"}"#,
            ]
        );
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        for (name, text, told) in [
            ("hosts", "[web\nw1", "hosts:1: a group has no `]`"),
            ("hosts", "w1 oops", "hosts:1: expected KEY=VALUE after the host"),
            ("hosts", "w1\nw[1:9]", "hosts:2: ranges of hosts"),
            ("hosts", "[all:children]\nweb", "hosts:1: groups of groups"),
            ("w.toml", "[[workers]]\nname = \"a\"\n", "w.toml:1: missing field `ssh`"),
            ("w.toml", "[[workers]]\nssh = \"a\"\nport = 3\n", "w.toml:3: unknown field `port`"),
            ("w.toml", "x = ", "w.toml:1: "),
        ] {
            let path = Path::new(name);
            let fault = if name == "hosts" { ini(path, text) } else { toml(path, text) }.unwrap_err();
            assert!(fault.message.starts_with(told) && fault.hint.is_some() && fault.code == exit::USAGE, "{fault}");
        }
    }
}
