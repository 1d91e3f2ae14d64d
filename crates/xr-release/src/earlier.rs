//! What of an earlier installation is there before the first one of xr's: data that may have been made with the secrets of
//! then, which no other value opens.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use serde_json::Value;
use xr_model::{Result, is_the_hosts};
use xr_session::Session;

use crate::{config_digest, staging::Staged};

/// Something that was there before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Earlier {
    /// A volume that the compose files name, or that has the project's label.
    Volume(String),
    /// A container of the project, which may have volumes without a name.
    Container(String),
    /// A folder or file that services write to, and that is not empty.
    Folder(PathBuf),
}

impl Earlier {
    /// The command that removes it.
    pub fn removal(&self) -> String {
        match self {
            Self::Volume(name) => format!("docker volume rm {name}"),
            Self::Container(name) => format!("docker rm -fv {name}"),
            Self::Folder(path) => format!("rm -r {}", xr_model::shell(path)),
        }
    }
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Container(name) => write!(f, "container {name}"),
            Self::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Everything that was there before and that a secret may have been made for.
///
/// # Errors
/// When the engine does not answer, or git.
pub async fn data(session: &Session<'_>, staged: &Staged) -> Result<Vec<Earlier>> {
    let project = &staged.resolved.project;
    let mut found: BTreeSet<Earlier> =
        session.engine.containers(project).await?.into_iter().map(|c| Earlier::Container(c.name)).collect();
    found.extend(session.engine.volumes(project).await?.into_iter().map(Earlier::Volume));
    for name in named_volumes(&staged.resolved.json) {
        if session.engine.has_volume(&name).await? {
            found.insert(Earlier::Volume(name));
        }
    }
    let places = written_places(&staged.resolved.json);
    found.extend(places.iter().filter(|path| holds_something(path)).cloned().map(Earlier::Folder));
    // What the release brings itself is nobody's data.
    let brought = released(session, staged)?;
    found.retain(|one| !matches!(one, Earlier::Folder(path) if brought.contains(path)));
    Ok(found.into_iter().collect())
}

/// The names on the engine of the volumes that a resolved configuration has.
fn named_volumes(config: &Value) -> Vec<String> {
    let volumes = config["volumes"].as_object().into_iter().flatten();
    volumes.filter_map(|(_, volume)| volume["name"].as_str().map(str::to_owned)).collect()
}

/// The places on the host that services may write to.
fn written_places(config: &Value) -> BTreeSet<PathBuf> {
    let services = config["services"].as_object().into_iter().flatten();
    let mounts = services.flat_map(|(_, service)| service["volumes"].as_array().into_iter().flatten());
    let written = mounts.filter(|mount| mount["type"] == "bind" && mount["read_only"] != true);
    let mounted = written.filter_map(|mount| mount["source"].as_str());
    // A volume may be no more than another name for a folder.
    let volumes = config["volumes"].as_object().into_iter().flatten();
    let options = volumes.map(|(_, volume)| &volume["driver_opts"]);
    let bound = options.filter(|options| options["o"].as_str().is_some_and(|o| o.split(',').any(is_bind)));
    let bound = bound.filter_map(|options| options["device"].as_str());
    mounted.chain(bound).filter(|path| !is_the_hosts(path)).map(PathBuf::from).collect()
}

/// An option of `mount` that makes of a device a place that is there already.
fn is_bind(option: &str) -> bool {
    matches!(option.trim(), "bind" | "rbind")
}

/// A folder in which something is, or a file that says something. What cannot be read may hold something.
pub fn holds_something(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_some()),
        Ok(meta) => meta.is_file() && meta.len() > 0,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// The places below the root that are in the release's tree.
fn released(session: &Session<'_>, staged: &Staged) -> Result<BTreeSet<PathBuf>> {
    let Some(checkout) = &session.checkout else { return Ok(BTreeSet::new()) };
    let services = staged.resolved.services.iter();
    let paths: BTreeSet<String> = services
        .flat_map(|service| config_digest::mounts(&staged.resolved.json, &service.name, &session.root))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    if paths.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids = checkout.ids(&checkout.head()?.commit, &paths)?;
    Ok(ids.keys().map(|path| session.root.join(path)).collect())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_and_places_that_may_hold_data_are_read_from_the_configuration() {
        let config = json!({
            "services": {
                "db": {"volumes": [
                    {"type": "bind", "source": "/srv/shop/data/pg", "target": "/data"},
                    {"type": "bind", "source": "/srv/shop/conf", "target": "/conf", "read_only": true},
                    {"type": "bind", "source": "/var/run/docker.sock", "target": "/s"},
                    {"type": "volume", "source": "files", "target": "/files"},
                ]},
                "web": {},
            },
            "volumes": {
                "files": {"name": "shop_files"},
                "outside": {"name": "pg", "external": true},
                "disk": {"name": "shop_disk", "driver_opts": {"type": "none", "o": "rw,bind", "device": "/mnt/disk"}},
                "share": {"name": "shop_share", "driver_opts": {"type": "nfs", "o": "addr=nas", "device": ":/shop"}},
            },
        });
        assert_eq!(named_volumes(&config), ["shop_files", "pg", "shop_disk", "shop_share"]);
        assert_eq!(written_places(&config), ["/mnt/disk", "/srv/shop/data/pg"].map(PathBuf::from).into());
    }

    #[test]
    fn an_empty_folder_or_none_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(!holds_something(path) && !holds_something(&path.join("none")));
        std::fs::write(path.join("file"), "").unwrap();
        assert!(holds_something(path) && !holds_something(&path.join("file")));
        std::fs::write(path.join("file"), "row").unwrap();
        assert!(holds_something(&path.join("file")));
    }
}
