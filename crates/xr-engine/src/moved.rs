//! What a new generation silently leaves behind: a volume whose place another one takes, the last published port. Both look
//! healthy afterwards.

use std::collections::BTreeMap;

use serde_json::Value;
use xr_host::MountedVolume;
use xr_model::{Generation, Level, Result, Service};

use crate::{World, staging::Staged, volumes::is_unnamed};

/// What a service finds at the place where its volume was.
#[derive(Debug, PartialEq, Eq)]
struct Moved<'a> {
    service: &'a str,
    target: &'a str,
    /// The volume's name on the engine.
    old: &'a str,
    /// A volume's name on the engine, else a folder.
    new: String,
    is_volume: bool,
}

/// Warns of what the new generation leaves behind, and tells it as changes, a line each.
///
/// # Errors
/// When the engine does not answer.
pub(crate) async fn warn(
    world: &World<'_>,
    current: Option<&Generation>,
    staged: &Staged,
    services: &[Service],
) -> Result<Vec<String>> {
    let Some(current) = current else { return Ok(Vec::new()) };
    let mounted = world.engine.mounted_volumes(&current.invocation.project).await?;
    let mut lines = Vec::new();
    for moved in moved(&mounted, services, &staged.resolved.json) {
        let made = moved.is_volume && !world.engine.has_volume(&moved.new).await?;
        lines.push(line(&moved, made));
    }
    lines.extend(unpublished(&current.services, services));
    lines.iter().for_each(|line| world.say(Level::Warning, line.clone()));
    Ok(lines)
}

fn line(moved: &Moved<'_>, made: bool) -> String {
    let Moved { service, target, old, new, is_volume } = moved;
    let what = if *is_volume { "volume" } else { "folder" };
    let state = if made { "the new one is empty" } else { "the new one is another" };
    format!("{service}: volume {old} → {what} {new} at {target}: {state}; the data stays in {old}")
}

/// The volumes in whose places the new configuration mounts something else. One that a service mounts no more, or elsewhere,
/// is the publisher's plain word.
fn moved<'a>(mounted: &'a [MountedVolume], services: &[Service], config: &Value) -> Vec<Moved<'a>> {
    let mut found = Vec::new();
    for service in services {
        let places = places(config, &service.name);
        for old in mounted.iter().filter(|old| old.service == service.name && !is_unnamed(&old.volume)) {
            if let Some((new, is_volume)) = places.get(old.target.trim_end_matches('/'))
                && *new != old.volume
            {
                let (new, is_volume) = (new.clone(), *is_volume);
                found.push(Moved { service: &old.service, target: &old.target, old: &old.volume, new, is_volume });
            }
        }
    }
    found
}

/// What a service mounts where: the volume's name on the engine, or the folder, and whether it is a volume.
fn places(config: &Value, service: &str) -> BTreeMap<String, (String, bool)> {
    let project = config["name"].as_str().unwrap_or_default();
    let mounts = config["services"][service]["volumes"].as_array().into_iter().flatten();
    let place = |mount: &Value| {
        let (target, source) = (mount["target"].as_str()?, mount["source"].as_str()?);
        let source = match mount["type"].as_str()? {
            "volume" => {
                let named = config["volumes"][source]["name"].as_str().map(str::to_owned);
                (named.unwrap_or_else(|| format!("{project}_{source}")), true)
            }
            "bind" => (source.to_owned(), false),
            _ => return None,
        };
        Some((target.trim_end_matches('/').to_owned(), source))
    };
    mounts.filter_map(place).collect()
}

/// That nothing of the stack can be reached from outside any more.
fn unpublished(old: &[Service], new: &[Service]) -> Option<String> {
    let ports = |services: &[Service]| -> Vec<String> {
        let published = |s: &Service| s.ports.iter().map(|p| format!("{} of {}", p.published, s.name)).collect();
        services.iter().flat_map(|s| -> Vec<String> { published(s) }).collect()
    };
    let before = ports(old);
    let reachable = !ports(new).is_empty() || new.iter().any(|service| service.host_network);
    (!before.is_empty() && !reachable)
        .then(|| format!("no service publishes a port any more; before: {}", before.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xr_stack::{Manifest, Resolved};

    use super::*;

    fn config(db: Value, volumes: Value, ports: Value) -> Resolved {
        let config = json!({
            "name": "docker",
            "services": {"db": {"image": "postgres", "volumes": db}, "web": {"image": "web", "ports": ports}},
            "volumes": volumes,
        });
        Resolved::parse(&config.to_string(), &Manifest::default()).unwrap()
    }

    fn mounted() -> Vec<MountedVolume> {
        let at = |target: &str, volume: &str| MountedVolume {
            service: "db".to_owned(),
            target: target.to_owned(),
            volume: volume.to_owned(),
        };
        vec![at("/data", "docker_pg"), at("/cache", &"0a".repeat(32))]
    }

    fn told(db: Value, volumes: Value) -> Vec<String> {
        let (mounted, new) = (mounted(), config(db, volumes, json!([])));
        moved(&mounted, &new.services, &new.json).iter().map(|moved| line(moved, moved.is_volume)).collect()
    }

    #[test]
    fn another_volume_in_the_same_place_is_told() {
        let volume = |source: &str, target: &str| json!([{"type": "volume", "source": source, "target": target}]);
        let says = |new: &str| vec![format!("db: volume docker_pg → {new}; the data stays in docker_pg")];
        assert_eq!(
            told(volume("pgnew", "/data"), json!({"pgnew": {"name": "docker_pgnew"}})),
            says("volume docker_pgnew at /data: the new one is empty")
        );
        assert_eq!(
            told(volume("pg", "/data"), json!({"pg": {"name": "rows"}})),
            says("volume rows at /data: the new one is empty")
        );
        let folder = json!([{"type": "bind", "source": "/srv/pg", "target": "/data/"}]);
        assert_eq!(told(folder, json!({})), says("folder /srv/pg at /data: the new one is another"));
    }

    #[test]
    fn the_same_volume_is_no_news_wherever_it_is_mounted() {
        let names = json!({"pg": {"name": "docker_pg"}, "cache": {"name": "docker_cache"}});
        let mounts = json!([
            {"type": "volume", "source": "pg", "target": "/data/"},
            {"type": "volume", "source": "cache", "target": "/cache"}
        ]);
        assert_eq!(told(mounts, names.clone()), [""; 0]);
        assert_eq!(told(json!([{"type": "volume", "source": "pg", "target": "/elsewhere"}]), names), [""; 0]);
    }

    #[test]
    fn the_last_port_that_goes_is_told() {
        let port = json!([{"target": 80, "published": "8083", "protocol": "tcp"}]);
        let with = config(json!([]), json!({}), port).services;
        let without = config(json!([]), json!({}), json!([])).services;
        let text = "no service publishes a port any more; before: 8083 of web";
        assert_eq!(unpublished(&with, &without).as_deref(), Some(text));
        assert_eq!(unpublished(&with, &with), None);
        assert_eq!(unpublished(&without, &without), None);
    }
}
