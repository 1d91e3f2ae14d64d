//! Reading an inventory of workers: TOML as in `.xr/site.toml`, or Ansible's INI.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use xr_model::{Fault, Result, Worker, exit};

use crate::{
    presets,
    worker_list::{name_of, refuse_odd, worker_lines},
};

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

/// A worker, and the line on which it begins.
type Listed = (usize, Worker);

const HINT: &str = "docs/workers.md shows both forms: [[workers]] with ssh = \"user@host\", or Ansible's INI";

/// Reads an inventory.
///
/// # Errors
/// Names file and line, and what was expected.
pub fn read(path: &Path) -> Result<Vec<Worker>> {
    let bytes = presets::read_small(path).map_err(|error| {
        Fault::new(format!("cannot read {}", path.display()))
            .because(error)
            .hint(format!("ls -l {}", xr_model::shell(path)))
            .code(exit::USAGE)
    })?;
    parse(path, &presets::text_of(path, bytes).map_err(|fault| fault.code(exit::USAGE))?)
}

/// The workers of an inventory's text; `path` is named in faults, and says the form when it ends with `.toml`.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Vec<Worker>> {
    let (lines, workers): (Vec<usize>, Vec<Worker>) =
        if looks_like_toml(path, text) { toml(path, text)? } else { ini(path, text)? }.into_iter().unzip();
    if workers.is_empty() {
        return Err(Fault::new(format!("{}: no worker in it", path.display())).hint(HINT).code(exit::USAGE));
    }
    refuse_odd(path, &workers, || lines).map_err(|fault| fault.code(exit::USAGE))?;
    Ok(workers)
}

fn looks_like_toml(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "toml") || text.contains("[[workers]]")
}

fn toml(path: &Path, text: &str) -> Result<Vec<Listed>> {
    let wrong = |error| presets::point_at(path, text, &error).hint(HINT).code(exit::USAGE);
    let inventory: Inventory = ::toml::from_str(text).map_err(wrong)?;
    let worker = |entry: Entry| Worker {
        name: entry.name.unwrap_or_else(|| name_of(&entry.ssh)),
        ssh: entry.ssh,
        server: entry.server,
        labels: entry.labels,
        drained: false,
    };
    Ok(worker_lines(text).into_iter().zip(inventory.workers.into_iter().map(worker)).collect())
}

/// A host of an INI inventory.
struct Host {
    name: String,
    line: usize,
    own: BTreeMap<String, String>,
    groups: Vec<String>,
}

/// Ansible's INI: `[group]`, `host key=value …`, `[group:vars]`. A group becomes the label `group.NAME=yes`.
fn ini(path: &Path, text: &str) -> Result<Vec<Listed>> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
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
        let place = *places.entry(host.clone()).or_insert_with(|| {
            hosts.push(Host { name: host.clone(), line: number + 1, own: BTreeMap::new(), groups: Vec::new() });
            hosts.len() - 1
        });
        hosts[place].own.extend(own);
        hosts[place].groups.push(group.clone());
    }
    let worker = |Host { name: host, line, own, groups }: Host| {
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
        (line, Worker { name: name_of(&host), ssh, server: String::new(), labels, drained: false })
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
        let read = parse(Path::new("hosts"), text).unwrap();
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
            ("hosts", "a@b\n\nc@b\n", "hosts:3: two workers are called `b`"),
            ("hosts", "w1\nlocal\n", "hosts:2: `local` is this host itself"),
            ("hosts", "# nobody\n", "hosts: no worker in it"),
            ("w.toml", "[[workers]]\nname = \"a\"\n", "w.toml:1:1: missing field `ssh`"),
            ("w.toml", "[[workers]]\nssh = \"a\"\nport = 3\n", "w.toml:3:1: unknown field `port`"),
            ("w.toml", "x = ", "w.toml:1:5: "),
            (
                "w.toml",
                "[[workers]]\nssh = \"a\"\n\n[[workers]]\nname = \"a\"\nssh = \"b\"\n",
                "w.toml:4: two workers are called `a`",
            ),
            ("w.toml", "[[workers]]\nssh = \"-x\"\n", "w.toml:1: `-x` is no name"),
        ] {
            let fault = parse(Path::new(name), text).unwrap_err();
            assert!(fault.message.starts_with(told) && fault.hint.is_some() && fault.code == exit::USAGE, "{fault}");
        }
    }
}
