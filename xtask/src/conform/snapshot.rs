//! What the engine says of a stack: containers, networks, volumes, and what was written into them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use xr_lab::Engine;

use super::side::Side;

/// What was seen, by a path such as `web.1/host/Memory`.
pub(crate) type Snapshot = BTreeMap<String, Value>;

/// Labels of compose's that tell when and where from a container was made, and nothing of what it is.
const PASSING: [&str; 8] = [
    "com.docker.compose.config-hash",
    "com.docker.compose.container-number",
    "com.docker.compose.project.config_files",
    "com.docker.compose.project.environment_file",
    "com.docker.compose.project.working_dir",
    "com.docker.compose.replace",
    "com.docker.compose.version",
    "com.docker.compose.depends_on",
];
/// The file that [`mark`] writes.
const MARK: &str = ".conform-mark";

/// Writes the service's name wherever a running container may write data.
pub(crate) fn mark(engine: &Engine, side: &Side<'_>) -> Result<()> {
    for container in inspect(engine, &side.containers()?)? {
        if container["State"]["Running"] != true {
            continue;
        }
        let service = service(&container);
        for target in written(&container) {
            let script = format!(
                "if [ -d '{target}' ]; then echo {service} >> '{target}/{MARK}'; else echo {service} >> '{target}'; fi"
            );
            engine.docker(&["exec", "--user=0", id(&container), "sh", "-c", &script])?;
        }
    }
    Ok(())
}

pub(crate) fn of(engine: &Engine, side: &Side<'_>) -> Result<Snapshot> {
    let mut containers = inspect(engine, &side.containers()?)?;
    containers.sort_by_key(|container| (service(container).to_owned(), name(container).to_owned()));
    let services: BTreeMap<&str, String> =
        containers.iter().map(|container| (id(container), service(container).to_owned())).collect();
    let mut snapshot = Snapshot::new();
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    for container in &containers {
        let number = numbers.entry(service(container)).or_default();
        *number += 1;
        let at = format!("{}.{number}", service(container));
        let seen = in_own_words(&one(engine, container, &services)?, side);
        flatten(&at, &seen, &mut snapshot);
    }
    for kind in ["network", "volume"] {
        let label = format!("label=com.docker.compose.project={}", side.project);
        let listed = engine.docker(&[kind, "ls", "-q", "--filter", &label])?;
        let names: Vec<&str> = listed.lines().collect();
        if names.is_empty() {
            continue;
        }
        let all: Vec<Value> = serde_json::from_str(&engine.docker(&[&[kind, "inspect"], &names[..]].concat())?)?;
        for mut one in all {
            let name = one["Name"].as_str().unwrap_or_default().to_owned();
            let map = one.as_object_mut().context("not an object")?;
            map.retain(|key, _| {
                !["Id", "Created", "CreatedAt", "Containers", "Mountpoint", "Name", "Status", "Scope"]
                    .contains(&key.as_str())
            });
            drop_passing(&mut one["Labels"]);
            // Where nobody asked for a subnet the engine chooses the next one.
            if !one["IPAM"]["Config"].to_string().contains(&side.net) {
                one["IPAM"]["Config"] = Value::Null;
            }
            let title = in_own_words(&json!(format!("{kind} {name}")), side);
            flatten(title.as_str().unwrap_or_default(), &in_own_words(&one, side), &mut snapshot);
        }
    }
    Ok(snapshot)
}

/// How each container is at this moment.
pub(crate) fn states(engine: &Engine, ids: &[String]) -> Result<String> {
    let state = |container: &Value| {
        format!("{} {} {}\n", id(container), container["State"]["Status"], container["State"]["Health"]["Status"])
    };
    Ok(inspect(engine, ids)?.iter().map(state).collect())
}

fn inspect(engine: &Engine, ids: &[String]) -> Result<Vec<Value>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    ids.iter().filter_map(|id| engine.ask(&format!("/containers/{id}/json")).transpose()).collect()
}

fn service(container: &Value) -> &str {
    container["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap_or_default()
}

fn id(container: &Value) -> &str {
    container["Id"].as_str().unwrap_or_default()
}

fn name(container: &Value) -> &str {
    container["Name"].as_str().unwrap_or_default().trim_start_matches('/')
}

/// Where a container may write data, but for what is the host's own.
fn written(container: &Value) -> Vec<String> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let data = mounts.filter(|mount| mount["RW"] == true && (mount["Type"] == "volume" || mount["Type"] == "bind"));
    let own = |mount: &&Value| {
        let source = mount["Source"].as_str().unwrap_or_default();
        !["/proc", "/sys", "/dev", "/run", "/var/run"].iter().any(|hosts| source.starts_with(hosts))
    };
    data.filter(own).filter_map(|mount| mount["Destination"].as_str().map(str::to_owned)).collect()
}

/// A container, as far as it does not depend on when it was made.
fn one(engine: &Engine, container: &Value, services: &BTreeMap<&str, String>) -> Result<Value> {
    let (config, id) = (&container["Config"], id(container));
    let mut config = config.clone();
    // Its own id, or that of the container whose network it borrows.
    if config["Hostname"]
        .as_str()
        .is_some_and(|host| services.keys().any(|id| host.len() == 12 && id.starts_with(host)))
    {
        config["Hostname"] = Value::Null;
    }
    sort(&mut config["Env"]);
    drop_passing(&mut config["Labels"]);
    let mut host = container["HostConfig"].clone();
    sort(&mut host["ExtraHosts"]);
    sort(&mut host["Ulimits"]);
    for key in ["Binds", "Mounts"] {
        // What is mounted in the end counts.
        host[key] = Value::Null;
    }
    for key in ["NetworkMode", "IpcMode", "PidMode"] {
        let lender = host[key].as_str().and_then(|mode| mode.strip_prefix("container:"));
        if let Some(service) = lender.and_then(|id| services.get(id)) {
            host[key] = json!(format!("container of {service}"));
        }
    }
    if let Some(lenders) = host["VolumesFrom"].as_array_mut() {
        for lender in lenders {
            let lent = lender.as_str().and_then(|text| services.get(text.split(':').next().unwrap_or_default()));
            if let Some(service) = lent {
                *lender = json!(format!("container of {service}"));
            }
        }
    }
    let mut mounts: Vec<Value> = container["Mounts"].as_array().into_iter().flatten().map(mounted).collect();
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    let running = container["State"]["Running"] == true && container["State"]["Paused"] != true;
    let mut networks = Map::new();
    for (network, at) in container["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let mut aliases: Vec<&str> = at["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        aliases.retain(|alias| {
            !(alias.len() == 12 && id.starts_with(alias)) && *alias != name(container) && !is_numbered(alias, container)
        });
        aliases.sort_unstable();
        aliases.dedup();
        networks.insert(network.clone(), json!({"Aliases": aliases, "IPAMConfig": at["IPAMConfig"], "Links": at["Links"], "DriverOpts": at["DriverOpts"]}));
    }
    let mut marks = Map::new();
    if running {
        for target in written(container) {
            let script = format!(
                "if [ -d '{target}' ]; then cat '{target}/{MARK}' 2>/dev/null || true; else cat '{target}'; fi"
            );
            let text = engine.docker(&["exec", "--user=0", id, "sh", "-c", &script])?;
            // Who marks first is chance.
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            marks.insert(target.clone(), json!(lines));
        }
        let files = engine.docker(&[
            "exec", "--user=0", id, "sh", "-c",
            "for f in /run/secrets/* /conform/*; do [ -f $f ] && { stat -c '%n %a %u:%g' $f; cat $f; echo; }; done; true",
        ])?;
        marks.insert("files".to_owned(), json!(files));
    }
    Ok(json!({
        "config": config, "host": host, "mounts": mounts, "networks": networks, "marks": marks,
        "status": container["State"]["Status"], "exit": container["State"]["ExitCode"],
        "health": container["State"]["Health"]["Status"], "named": !is_numbered(name(container), container),
    }))
}

/// Whether a name is one of those that compose makes of project, service and number.
fn is_numbered(name: &str, container: &Value) -> bool {
    let service = format!("-{}-", service(container));
    name.split_once(&service).is_some_and(|(_, number)| number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn mounted(mount: &Value) -> Value {
    let name = mount["Name"].as_str().unwrap_or_default();
    let anonymous = name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let source = match (mount["Type"].as_str(), anonymous) {
        (Some("volume"), true) => json!("anonymous"),
        (Some("volume"), false) => json!(name),
        // Where the engine unpacks it is its own affair.
        (Some("image"), _) => json!("image"),
        _ => mount["Source"].clone(),
    };
    json!({"Type": mount["Type"], "Source": source, "Destination": mount["Destination"], "RW": mount["RW"]})
}

fn drop_passing(labels: &mut Value) {
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|label, _| !PASSING.contains(&label.as_str()));
    }
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(ToString::to_string);
    }
}

/// The same with the names of this way replaced by words that both have.
fn in_own_words(value: &Value, side: &Side<'_>) -> Value {
    let mut text = value.to_string();
    text = text.replace(&side.root().display().to_string(), "ROOT").replace(&side.project, "PROJECT");
    text = text.replace(&format!("{}.", side.net), "NET.");
    for number in 0..4 {
        text = with_number(&text, &(side.port + number).to_string(), &format!("PORT{number}"));
    }
    serde_json::from_str(&text).unwrap_or_else(|_| value.clone())
}

/// With a word for a number, where it is not a part of a longer one such as a time in nanoseconds.
fn with_number(text: &str, number: &str, word: &str) -> String {
    let mut parts = text.split(number);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = out.ends_with(|c: char| c.is_ascii_digit()) || part.starts_with(|c: char| c.is_ascii_digit());
        out.push_str(if longer { number } else { word });
        out.push_str(part);
    }
    out
}

/// Each leaf under its path. What is empty is as good as not there.
fn flatten(at: &str, value: &Value, snapshot: &mut Snapshot) {
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&format!("{at}/{key}"), value, snapshot)),
        Value::Array(list) if list.is_empty() => {}
        Value::String(text) if text.is_empty() => {}
        Value::Bool(false) => {}
        leaf => {
            snapshot.insert(at.to_owned(), leaf.clone());
        }
    }
}
