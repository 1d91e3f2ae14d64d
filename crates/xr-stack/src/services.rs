//! Reading compose's resolved configuration into services, dependencies first.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_model::{
    Condition, Dependency, Fault, HealthCheck, ImageRef, ImageSource, NetworkPlace, Port, Result, Service, VolumePlace,
    is_the_hosts,
};

use crate::{
    inline_files,
    lifecycle::{Moment, lifecycle_hooks},
    manifest::Manifest,
};

/// Parts of a service that do not reach its container, as in compose's own hash.
const NOT_IN_CONTAINER: [&str; 7] = ["build", "pull_policy", "scale", "depends_on", "profiles", "develop", "deploy"];

/// All services of a resolved configuration, in an order in which dependencies come first.
pub fn read(config: &Value, manifest: &Manifest) -> Result<Vec<Service>> {
    let project = config["name"].as_str().unwrap_or_default();
    let empty = serde_json::Map::new();
    let all = config["services"].as_object().unwrap_or(&empty);
    let mut services = BTreeMap::new();
    for (name, definition) in all {
        refuse_what_no_container_is(name, definition)?;
        let rule = manifest.services.get(name);
        let image = definition["image"].as_str().map_or_else(|| format!("{project}-{name}"), str::to_owned);
        let deploy = &definition["deploy"];
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        let inline_files = inline_files::digest(config, name);
        let service = Service {
            name: name.clone(),
            image: ImageRef::new(image),
            spec: spec(definition, inline_files.as_deref()),
            content: String::new(),
            variables: None,
            depends_on: dependencies(definition),
            ports: ports(definition),
            container_name: definition["container_name"].as_str().map(str::to_owned),
            health: health(definition),
            owns_data: writes_data(definition),
            networks: networks(config, definition),
            volumes: volumes(config, definition),
            fixed_address: has_fixed_address(definition),
            injected: inline_files.is_some(),
            runs_after_start: !lifecycle_hooks(definition, Moment::AfterStart).is_empty(),
            runs_before_stop: !lifecycle_hooks(definition, Moment::BeforeStop).is_empty(),
            stop_grace: definition["stop_grace_period"].as_str().and_then(parse_duration),
            host_network: definition["network_mode"] == "host",
            tied_to: tied(definition),
            builds: definition.get("build").is_some(),
            image_source: image_source(definition),
            replicas: number(&definition["scale"]).or_else(|| number(&deploy["replicas"])).unwrap_or(1),
            restart: restart(definition),
            ends: says_it_ends(definition),
            chosen_ports: has_chosen_ports(definition),
            beside: rule.and_then(|rule| rule.beside),
        };
        services.insert(name.clone(), service);
    }
    in_order(services)
}

/// Whether a service may write what outlives its container: what makes two of it dangerous. What its image declares besides
/// is seen in its containers.
fn writes_data(definition: &Value) -> bool {
    definition["volumes"].as_array().into_iter().flatten().any(|mount| {
        let kind = mount["type"].as_str();
        let own =
            kind == Some("volume") || (kind == Some("bind") && !mount["source"].as_str().is_some_and(is_the_hosts));
        own && mount["read_only"] != true
    })
}

fn networks(config: &Value, definition: &Value) -> Vec<NetworkPlace> {
    let places = definition["networks"].as_object().into_iter().flatten();
    let place = |(key, place): (&String, &Value)| {
        let network = config["networks"][key]["name"].as_str()?.to_owned();
        let ipv4 = place["ipv4_address"].as_str().filter(|address| !address.is_empty()).map(str::to_owned);
        Some(NetworkPlace { network, ipv4 })
    };
    places.filter_map(place).collect()
}

fn volumes(config: &Value, definition: &Value) -> Vec<VolumePlace> {
    let mounts = definition["volumes"].as_array().into_iter().flatten().filter(|mount| mount["type"] == "volume");
    let place = |mount: &Value| {
        let volume = config["volumes"][mount["source"].as_str()?]["name"].as_str()?.to_owned();
        Some(VolumePlace { volume, target: mount["target"].as_str()?.to_owned() })
    };
    mounts.filter_map(place).collect()
}

/// Whether a service asks for an address of its own, on a network or in the hardware.
fn has_fixed_address(definition: &Value) -> bool {
    let fixed = |place: &Value| {
        let given = |key: &str| place[key].as_str().is_some_and(|address| !address.is_empty());
        given("ipv4_address") || given("ipv6_address") || given("mac_address")
    };
    fixed(definition) || definition["networks"].as_object().into_iter().flatten().any(|(_, place)| fixed(place))
}

/// What compose has its own programs provide, beside the engine.
fn refuse_what_no_container_is(name: &str, definition: &Value) -> Result<()> {
    const BESIDE: [&str; 2] = ["provider", "models"];
    let Some(key) = BESIDE.iter().find(|key| definition.get(**key).is_some_and(|value| !value.is_null())) else {
        return Ok(());
    };
    Err(Fault::new(format!(
        "service {name} has `{key}`, which compose hands to a program of its own: xr runs containers only"
    ))
    .hint(format!(
        "take `{key}` out of {name} in a compose.override.yaml (`{key}: !reset null`), and run it beside xr"
    )))
}

/// A service that is built is not looked for in a registry, where anybody may have its name, unless the compose file says so.
fn image_source(definition: &Value) -> ImageSource {
    let builds = definition.get("build").is_some();
    match definition["pull_policy"].as_str() {
        None | Some("" | "build" | "never") if builds => ImageSource::Build,
        Some("never") => ImageSource::Host,
        _ => ImageSource::Registry,
    }
}

fn spec(definition: &Value, inline_files: Option<&str>) -> String {
    let mut kept = definition.clone();
    if let Some(map) = kept.as_object_mut() {
        if let Some(digest) = inline_files {
            map.insert("inline_files".to_owned(), digest.into());
        }
        map.retain(|key, _| !NOT_IN_CONTAINER.contains(&key.as_str()));
        if let Some(resources) = definition["deploy"].get("resources") {
            map.insert("resources".to_owned(), resources.clone());
        }
        if let Some(policy) = definition["deploy"].get("restart_policy").filter(|policy| !policy.is_null()) {
            map.insert("restart_policy".to_owned(), policy.clone());
        }
        map.sort_keys();
    }
    // As compose prints it, so that it is what earlier generations have.
    Sha256::digest(kept.to_string().replace('$', "$$")).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dependencies(definition: &Value) -> Vec<Dependency> {
    let Some(all) = definition["depends_on"].as_object() else { return Vec::new() };
    all.iter()
        .map(|(service, how)| Dependency {
            service: service.clone(),
            condition: match how["condition"].as_str() {
                Some("service_healthy") => Condition::ServiceHealthy,
                Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
                _ => Condition::ServiceStarted,
            },
            required: how["required"].as_bool().unwrap_or(true),
            restart: how["restart"] == true,
        })
        .collect()
}

/// Whether a port of the container is published, and no port of the host named for it.
fn has_chosen_ports(definition: &Value) -> bool {
    let mut ports = definition["ports"].as_array().into_iter().flatten();
    ports.any(|port| {
        matches!(port["published"].as_str(), None | Some("" | "0")) && port["published"].as_u64().unwrap_or(0) == 0
    })
}

fn ports(definition: &Value) -> Vec<Port> {
    let mut ports = Vec::new();
    for port in definition["ports"].as_array().into_iter().flatten() {
        let target = port["target"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        let published = match &port["published"] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue, // the engine chooses one: nothing to collide with
        };
        let (first, last) = published.split_once('-').unwrap_or((&published, &published));
        if let (Ok(published), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
            && published != 0
        {
            let text = |key: &str, default: &str| port[key].as_str().unwrap_or(default).to_owned();
            let until = (last > published).then_some(last);
            let (host_ip, protocol) = (text("host_ip", ""), text("protocol", "tcp"));
            ports.push(Port { host_ip, published, until, target, protocol });
        }
    }
    ports
}

fn health(definition: &Value) -> Option<HealthCheck> {
    let check = definition["healthcheck"].as_object()?;
    if check.get("disable") == Some(&Value::Bool(true)) {
        return None;
    }
    let none = match check.get("test") {
        Some(Value::Array(parts)) => parts.first().is_some_and(|first| first == "NONE"),
        _ => false,
    };
    if none {
        return None;
    }
    // Defaults of the image specification: 30 s, 30 s, 3, 0 s.
    let time = |key: &str, default: u64| {
        check.get(key).and_then(Value::as_str).and_then(parse_duration).unwrap_or(Duration::from_secs(default))
    };
    Some(HealthCheck {
        interval: time("interval", 30),
        timeout: time("timeout", 30),
        retries: check.get("retries").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(3),
        start_period: time("start_period", 0),
    })
}

/// A Go duration as compose prints it: `1m30s`, `500ms`, `0s`.
fn parse_duration(text: &str) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

fn tied(definition: &Value) -> Vec<String> {
    let mut tied: Vec<String> = ["network_mode", "ipc", "pid"]
        .iter()
        .filter_map(|key| definition[*key].as_str()?.strip_prefix("service:").map(str::to_owned))
        .collect();
    let borrowed = definition["volumes_from"].as_array().into_iter().flatten().filter_map(Value::as_str);
    tied.extend(
        borrowed
            .filter(|from| !from.starts_with("container:"))
            .map(|from| from.split(':').next().unwrap_or(from).to_owned()),
    );
    tied.sort();
    tied.dedup();
    tied
}

fn restart(definition: &Value) -> String {
    let policy = &definition["deploy"]["restart_policy"]["condition"];
    match (definition["restart"].as_str(), policy.as_str()) {
        (Some(policy), _) => policy.to_owned(),
        (None, Some("any")) => "always".to_owned(),
        (None, Some("on-failure")) => "on-failure".to_owned(),
        _ => "no".to_owned(),
    }
}

/// Whether it is said in so many words; without a word an engine starts nothing again either, servers among them, and those
/// are started `on-failure` too.
fn says_it_ends(definition: &Value) -> bool {
    let said = definition["restart"].as_str().or_else(|| definition["deploy"]["restart_policy"]["condition"].as_str());
    said.is_some_and(|said| matches!(said, "no" | "none"))
}

fn in_order(mut rest: BTreeMap<String, Service>) -> Result<Vec<Service>> {
    let mut ordered: Vec<Service> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let ready: Vec<String> = rest
            .values()
            .filter(|s| s.depends_on.iter().map(|d| &d.service).chain(&s.tied_to).all(|name| !rest.contains_key(name)))
            .map(|s| s.name.clone())
            .collect();
        if ready.is_empty() {
            let names: Vec<_> = rest.keys().cloned().collect();
            return Err(Fault::new(format!("services depend on each other in a circle: {}", names.join(", ")))
                .hint("docker compose config"));
        }
        ordered.extend(ready.into_iter().filter_map(|name| rest.remove(&name)));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(services: Value) -> Vec<Service> {
        read(&json!({"name": "p", "services": services}), &Manifest::default()).unwrap()
    }

    #[test]
    fn dependencies_come_first() {
        let services = of(json!({
            "a": {"image": "a", "depends_on": {"b": {"condition": "service_healthy", "required": false}}},
            "b": {"image": "b", "depends_on": {"c": {"condition": "service_started", "required": true}}},
            "c": {"image": "c"}
        }));
        let names: Vec<_> = services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(services[2].depends_on[0].condition, Condition::ServiceHealthy);
    }

    #[test]
    fn what_may_run_beside_its_successor_is_told_from_ports_names_and_data() {
        let services = of(json!({
            "plain": {"image": "a", "volumes": [{"type": "bind", "source": "/x", "target": "/x", "read_only": true}]},
            "port": {"image": "a", "ports": [{"target": 80, "published": "8083", "protocol": "tcp"}]},
            "named": {"image": "a", "container_name": "one"},
            "data": {"image": "a", "volumes": [{"type": "volume", "source": "d", "target": "/d"}]},
            "folder": {"image": "a", "volumes": [{"type": "bind", "source": "/srv/data", "target": "/d"}]},
            "file": {"image": "a", "volumes": [{"type": "bind", "source": "/srv/app.db", "target": "/app.db"}]},
            "shared": {"image": "a", "volumes": [{"type": "volume", "source": "d", "target": "/s"}]},
            "socket": {"image": "a", "volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/s"}]},
            "memory": {"image": "a", "volumes": [{"type": "tmpfs", "target": "/s"}]},
            "address": {"image": "a", "networks": {"n": {"ipv4_address": "10.9.8.7"}}},
            "network": {"image": "a", "networks": {"n": null}},
            "sidecar": {"image": "a", "network_mode": "service:plain"}
        }));
        let beside: Vec<_> = services.iter().filter(|s| s.may_run_beside([])).map(|s| s.name.as_str()).collect();
        assert_eq!(beside, ["memory", "network", "plain", "socket"]);
    }

    #[test]
    fn a_service_is_published_also_where_the_engine_chooses_the_port() {
        let services = of(json!({
            "chosen": {"image": "a", "ports": [{"target": 80, "protocol": "tcp"}]},
            "zero": {"image": "a", "ports": [{"target": 80, "published": "0", "protocol": "tcp"}]},
            "named": {"image": "a", "ports": [{"target": 80, "published": "8083", "protocol": "tcp"}]},
            "range": {"image": "a", "ports": [{"target": 80, "published": "8000-8010", "protocol": "tcp"}]},
            "none": {"image": "a", "expose": ["80"]}
        }));
        let which = |is: fn(&Service) -> bool| -> Vec<&str> {
            services.iter().filter(|s| is(s)).map(|s| s.name.as_str()).collect()
        };
        assert_eq!(which(Service::is_published), ["chosen", "named", "range", "zero"]);
        assert_eq!(which(|service| service.chosen_ports), ["chosen", "zero"]);
    }

    #[test]
    fn what_does_not_reach_the_container_does_not_change_the_spec() {
        let one = of(json!({"a": {"image": "x", "depends_on": {}, "environment": {"A": "1", "B": "2"}}}));
        let two = of(
            json!({"a": {"environment": {"A": "1", "B": "2"}, "image": "x", "build": {"context": "."}, "scale": 2}}),
        );
        let other = of(json!({"a": {"image": "x", "environment": {"A": "2", "B": "2"}}}));
        assert_eq!(one[0].spec, two[0].spec);
        assert_ne!(one[0].spec, other[0].spec);
        assert_eq!(two[0].replicas, 2);
    }

    #[test]
    fn a_circle_is_refused_by_name() {
        let config = json!({"services": {
            "a": {"image": "a", "depends_on": {"b": {}}},
            "b": {"image": "b", "depends_on": {"a": {}}}
        }});
        assert!(read(&config, &Manifest::default()).unwrap_err().message.contains("a, b"));
    }
}
