//! What a new version silently leaves behind: data in whose place it mounts something empty, the last published port. Both
//! look healthy afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use serde_json::Value;
use xr_model::{Container, Fault, Generation, ImageRef, Level, MountKind, Observed, Result, Service};
use xr_release::{earlier::holds_something, staging::Staged};
use xr_session::Session;

use crate::volumes::is_unnamed;

/// Where data are, or shall be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A volume, by its name on the engine.
    Volume(String),
    /// A folder or file of the host.
    Path(PathBuf),
    /// A file system in memory.
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(name) if is_unnamed(name) => write!(f, "volume {} (without a name)", &name[..12]),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// What each path in a container is mounted from.
type Places = BTreeMap<String, Place>;

/// Data that a service has now, and what it would find instead.
#[derive(Debug, PartialEq, Eq)]
struct Moved<'a> {
    service: &'a str,
    /// Where the data are in the container.
    target: &'a str,
    old: &'a Place,
    new: &'a Place,
}

/// What a service has mounted writable now.
struct Present {
    service: String,
    /// The image of its container, where it has one.
    image: Option<String>,
    places: Places,
}

/// The version to be.
pub struct New<'a> {
    /// The release, staged.
    pub staged: &'a Staged,
    /// Its services that are not left out.
    pub services: &'a [Service],
    /// Its commit, for a git checkout.
    pub commit: Option<&'a str>,
}

/// Tells what the new version leaves behind as changes, a line each.
///
/// # Errors
/// When a service would find something empty in place of its data, unless that is `accepted`; when the engine does not answer.
pub async fn check(
    session: &Session<'_>,
    current: Option<&Generation>,
    observed: &Observed,
    new: &New<'_>,
    accepted: bool,
) -> Result<Vec<String>> {
    let services = new.services;
    let present = present(session, current, observed, (services, &new.staged.resolved.services)).await?;
    let config = &new.staged.resolved.json;
    let wanted: BTreeMap<&str, Places> =
        services.iter().map(|service| (service.name.as_str(), places(config, &service.name))).collect();
    let mut empty = BTreeSet::new();
    for place in wanted.values().flat_map(BTreeMap::values) {
        if is_empty(session, new, place).await? {
            empty.insert(place);
        }
    }
    let moved = moved(&present, &wanted, &empty);
    let (lost, other): (Vec<&Moved<'_>>, Vec<&Moved<'_>>) = moved.iter().partition(|one| empty.contains(one.new));
    if let (Some(first), false) = (lost.first(), accepted) {
        let image = present.iter().find(|one| one.service == first.service).and_then(|one| one.image.as_deref());
        return Err(refusal(session, &lost, image));
    }
    let mut lines: Vec<String> = lost.iter().map(|one| line(one, "is empty")).collect();
    let volumes = |one: &&&Moved<'_>| matches!((one.old, one.new), (Place::Volume(_), Place::Volume(_)));
    lines.extend(other.iter().filter(volumes).map(|one| line(one, "is another")));
    lines.extend(current.and_then(|current| unpublished(&current.services, services)));
    lines.iter().for_each(|line| session.say(Level::Warning, line.clone()));
    Ok(lines)
}

fn line(moved: &Moved<'_>, state: &str) -> String {
    let Moved { service, target, old, new } = moved;
    format!("{service}: {old} → {new} at {target}: the new one {state}; the data stay in {old}")
}

fn refusal(session: &Session<'_>, lost: &[&Moved<'_>], image: Option<&str>) -> Fault {
    let lines: Vec<String> = lost.iter().map(|one| line(one, "is empty")).collect();
    let commands: Vec<String> = lost.iter().filter_map(|one| carry(one, image?)).collect();
    let carry = if commands.is_empty() {
        String::new()
    } else {
        format!("carry the data over: xr stop && {}, then again; ", commands.join(" && "))
    };
    let files: Vec<&str> = session.stack.layout.files.iter().map(String::as_str).collect();
    Fault::new(format!("{}: the new version would begin without its data: {}", files.join(", "), lines.join("; ")))
        .hint(format!("{carry}begin without them: the same command with --accept-empty-data"))
}

/// The command that copies data to where they would be; none of a single file, nor into memory.
fn carry(moved: &Moved<'_>, image: &str) -> Option<String> {
    let shown = |place: &Place| match place {
        Place::Volume(name) => Some(name.clone()),
        Place::Path(path) if path.is_file() => None,
        Place::Path(path) => Some(xr_model::shell(path).to_string()),
        Place::Memory => None,
    };
    let (old, new) = (shown(moved.old)?, shown(moved.new)?);
    Some(format!("docker run --rm --user 0 -v {old}:/from:ro -v {new}:/to --entrypoint cp {image} -a /from/. /to/"))
}

/// What the services have mounted writable that stay, or that take another's place: by their containers, and of a service that
/// has none, by the generation that serves.
async fn present(
    session: &Session<'_>,
    current: Option<&Generation>,
    observed: &Observed,
    (services, all): (&[Service], &[Service]),
) -> Result<Vec<Present>> {
    let mut found = Vec::new();
    let mut recorded = None;
    for service in services {
        let name = service.name.as_str();
        if let Some(container) = observed.of(name).next() {
            let (image, places) = (Some(container.image.clone()), mounted(container));
            found.push(Present { service: name.to_owned(), image, places });
            continue;
        }
        let before = current.filter(|current| current.services.iter().any(|one| one.name == name && one.owns_data));
        let Some(current) = before else { continue };
        if recorded.is_none() {
            recorded = Some(session.resolved(current).await?);
        }
        let all = recorded.as_ref().map(|resolved| places(&resolved.json, name)).unwrap_or_default();
        let mut volumes = all;
        volumes.retain(|_, place| matches!(place, Place::Volume(_)));
        found.push(Present { service: name.to_owned(), image: None, places: volumes });
    }
    let before: Vec<&str> = observed.containers.iter().map(|container| container.service.as_str()).collect();
    for container in observed.containers.iter().filter(|c| !all.iter().any(|service| service.name == c.service)) {
        let heir = heir(&ImageRef::new(container.image.clone()), &before, services);
        if let Some(heir) = heir.filter(|heir| !found.iter().any(|one| one.service == *heir)) {
            let (image, mut places) = (Some(container.image.clone()), mounted(container));
            places.retain(|_, place| !matches!(place, Place::Volume(name) if is_unnamed(name)));
            found.push(Present { service: heir.to_owned(), image, places });
        }
    }
    for one in &mut found {
        for (target, place) in one.places.clone() {
            // Nothing is lost with it.
            if let Place::Volume(name) = place
                && session.engine.volume_is_empty(&name).await?
            {
                one.places.remove(&target);
            }
        }
    }
    Ok(found)
}

/// The service that takes the place of one that is no more: a new one of the same program, of which there is one only.
fn heir<'a>(image: &ImageRef, before: &[&str], services: &'a [Service]) -> Option<&'a str> {
    let program = |image: &ImageRef| image.name().rsplit('/').next().map(str::to_owned);
    let same = |one: &&Service| !before.contains(&one.name.as_str()) && program(&one.image) == program(image);
    let mut heirs = services.iter().filter(same);
    heirs.next().filter(|_| heirs.next().is_none()).map(|heir| heir.name.as_str())
}

/// What a container may write that outlives it, where there is something.
fn mounted(container: &Container) -> Places {
    let data = container.mounts.iter().filter(|mount| mount.holds_data());
    let place = |kind, source: &str| match kind {
        MountKind::Bind => Place::Path(PathBuf::from(source)),
        _ => Place::Volume(source.to_owned()),
    };
    let places = data.map(|mount| (plain(&mount.target), place(mount.kind, &mount.source)));
    places.filter(|(_, place)| !matches!(place, Place::Path(path) if !holds_something(path))).collect()
}

/// The data in whose places the new configuration mounts something else. A volume that nobody mounts any more has moved when
/// its service has an empty place instead that it had not; one that a service has no substitute for is the publisher's plain
/// word.
fn moved<'a>(present: &'a [Present], new: &'a BTreeMap<&str, Places>, empty: &BTreeSet<&'a Place>) -> Vec<Moved<'a>> {
    let mounted_still = |place: &Place| new.values().flat_map(BTreeMap::values).any(|one| one == place);
    let mut found = Vec::new();
    for service in present {
        let Some(wanted) = new.get(service.service.as_str()) else { continue };
        for (target, old) in &service.places {
            let renamed = || {
                let named = matches!(old, Place::Volume(name) if !is_unnamed(name));
                let fresh = |(at, place): &(&String, &Place)| {
                    !service.places.contains_key(*at) && empty.contains(place) && matches!(place, Place::Volume(_))
                };
                (named && !mounted_still(old)).then(|| wanted.iter().find(fresh)).flatten().map(|(_, place)| place)
            };
            let instead = wanted.get(target).filter(|place| *place != old);
            let instead = instead.or_else(|| if wanted.contains_key(target) { None } else { renamed() });
            // The publisher's folder may take another place in the tree.
            if let Some(new) = instead.filter(|new| !mounted_still(old) || empty.contains(new)) {
                found.push(Moved { service: &service.service, target, old, new });
            }
        }
    }
    found
}

/// What a service mounts where, by a resolved configuration.
fn places(config: &Value, service: &str) -> Places {
    let project = config["name"].as_str().unwrap_or_default();
    let mounts = config["services"][service]["volumes"].as_array().into_iter().flatten();
    let place = |mount: &Value| {
        let target = plain(mount["target"].as_str()?);
        let place = match (mount["type"].as_str()?, mount["source"].as_str()) {
            ("volume", Some(source)) => {
                let named = config["volumes"][source]["name"].as_str().map(str::to_owned);
                Place::Volume(named.unwrap_or_else(|| format!("{project}_{source}")))
            }
            ("bind", Some(source)) => Place::Path(PathBuf::from(source)),
            ("tmpfs", _) => Place::Memory,
            _ => return None,
        };
        Some((target, place))
    };
    mounts.filter_map(place).collect()
}

fn plain(target: &str) -> String {
    target.trim_end_matches('/').to_owned()
}

/// Whether nothing is there: not now, and not in the release's tree.
async fn is_empty(session: &Session<'_>, new: &New<'_>, place: &Place) -> Result<bool> {
    Ok(match place {
        Place::Volume(name) => session.engine.volume_is_empty(name).await?,
        Place::Path(path) => !holds_something(path) && !is_released(session, new, path)?,
        Place::Memory => true,
    })
}

/// Whether the release brings something there itself.
fn is_released(session: &Session<'_>, new: &New<'_>, path: &Path) -> Result<bool> {
    let Ok(below) = path.strip_prefix(&session.root) else { return Ok(false) };
    let in_git = match (&session.checkout, new.commit, below.to_str()) {
        (Some(checkout), Some(commit), Some(below)) if !below.is_empty() => !checkout.ids(commit, &[below])?.is_empty(),
        _ => false,
    };
    Ok(in_git || holds_something(&xr_session::root_of(session, new.staged.number).join(below)))
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

    fn config(db: &Value, volumes: &Value, ports: &Value) -> Resolved {
        let config = json!({
            "name": "docker",
            "services": {"db": {"image": "postgres", "volumes": db}, "web": {"image": "web", "ports": ports}},
            "volumes": volumes,
        });
        Resolved::parse(&config.to_string(), &Manifest::default()).unwrap()
    }

    /// What moves of `db`, which has volume `docker_pg` at /data and one without a name at /cache, while nothing but `there`
    /// is there.
    fn told(db: &Value, volumes: &Value, there: &[&str]) -> Vec<String> {
        let volume = |name: &str| Place::Volume(name.to_owned());
        let has = [("/data".to_owned(), volume("docker_pg")), ("/cache".to_owned(), volume(&"0a".repeat(32)))];
        let present = [Present { service: "db".to_owned(), image: None, places: has.into() }];
        let new = config(db, volumes, &json!([]));
        let new = BTreeMap::from([("db", places(&new.json, "db"))]);
        let all = new.values().flat_map(BTreeMap::values);
        let empty = all.filter(|place| !there.iter().any(|name| **place == volume(name))).collect();
        moved(&present, &new, &empty).iter().map(|one| line(one, "?")).collect()
    }

    fn volume(source: &str, target: &str) -> Value {
        json!([{"type": "volume", "source": source, "target": target}])
    }

    #[test]
    fn another_volume_folder_or_memory_in_the_place_of_data_is_told() {
        let says =
            |new: &str| vec![format!("db: volume docker_pg → {new}: the new one ?; the data stay in volume docker_pg")];
        let other = json!({"pgnew": {"name": "docker_pgnew"}, "pg": {"name": "rows"}});
        assert_eq!(told(&volume("pgnew", "/data"), &other, &[]), says("volume docker_pgnew at /data"));
        assert_eq!(told(&volume("pg", "/data"), &other, &["rows"]), says("volume rows at /data"));
        let folder = json!([{"type": "bind", "source": "/srv/pg", "target": "/data/"}]);
        assert_eq!(told(&folder, &json!({}), &[]), says("/srv/pg at /data"));
        assert_eq!(told(&json!([{"type": "tmpfs", "target": "/data"}]), &json!({}), &[]), says("memory at /data"));
        // Where its new image keeps its data elsewhere.
        assert_eq!(told(&volume("pgnew", "/var/lib/data"), &other, &[]), says("volume docker_pgnew at /data"));
    }

    #[test]
    fn a_volume_without_a_name_is_data_too() {
        let names = json!({"cache": {"name": "docker_cache"}, "pg": {"name": "docker_pg"}});
        let mounts = json!([volume("cache", "/cache")[0], volume("pg", "/data")[0]]);
        let said = told(&mounts, &names, &["docker_pg"]);
        assert!(said.len() == 1 && said[0].starts_with("db: volume 0a0a0a0a0a0a (without a name) → "), "{said:?}");
    }

    #[test]
    fn the_same_volume_is_no_news_wherever_it_is_mounted() {
        let names = json!({"pg": {"name": "docker_pg"}, "more": {"name": "docker_more"}});
        assert_eq!(told(&volume("pg", "/data/"), &names, &["docker_pg"]), [""; 0]);
        assert_eq!(told(&volume("pg", "/elsewhere"), &names, &["docker_pg"]), [""; 0]);
        // One that it has no substitute for, or a second one beside.
        assert_eq!(told(&json!([]), &names, &[]), [""; 0]);
        let both = json!([volume("pg", "/data")[0], volume("more", "/more")[0]]);
        assert_eq!(told(&both, &names, &["docker_pg"]), [""; 0]);
    }

    #[test]
    fn a_new_service_of_the_same_program_takes_the_place_of_one_that_is_no_more() {
        let services = config(&json!([]), &json!({}), &json!([])).services;
        let heir = |image: &str, before: &[&str]| heir(&ImageRef::new(image.to_owned()), before, &services);
        assert_eq!(heir("docker.io/library/postgres:15", &["database"]), Some("db"));
        assert_eq!(heir("mysql:8", &["database"]), None);
        assert_eq!(heir("postgres:15", &["database", "db"]), None);
    }

    #[test]
    fn the_last_port_that_goes_is_told() {
        let port = json!([{"target": 80, "published": "8083", "protocol": "tcp"}]);
        let with = config(&json!([]), &json!({}), &port).services;
        let without = config(&json!([]), &json!({}), &json!([])).services;
        let text = "no service publishes a port any more; before: 8083 of web";
        assert_eq!(unpublished(&with, &without).as_deref(), Some(text));
        assert_eq!(unpublished(&with, &with), None);
        assert_eq!(unpublished(&without, &without), None);
    }
}
