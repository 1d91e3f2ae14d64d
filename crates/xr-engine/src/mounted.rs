//! The release's own files that containers see: a proxy's configuration, a folder of templates. When they change, the
//! container has to be made anew, although nothing in the compose file says so.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_model::Result;
use xr_stack::Resolved;

use crate::World;

/// Notes with each service what the files contain that it mounts from the tree of `commit`; without a commit, of the
/// tree as it stands, and then single files only: a folder may hold data.
pub(crate) fn note(world: &World<'_>, resolved: &mut Resolved, commit: Option<&str>) -> Result<()> {
    let mounts: BTreeMap<String, Vec<String>> = resolved
        .services
        .iter()
        .map(|service| (service.name.clone(), mounts(&resolved.json, &service.name, &world.root)))
        .collect();
    let mut paths: Vec<&str> = mounts.values().flatten().map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Ok(());
    }
    let contents = match (&world.checkout, commit) {
        (Some(checkout), Some(commit)) => checkout.ids(commit, &paths)?,
        _ => paths.iter().filter_map(|path| Some(((*path).to_owned(), file(&world.root.join(path))?))).collect(),
    };
    for service in &mut resolved.services {
        let ours = mounts.get(&service.name).into_iter().flatten();
        let known: Vec<String> =
            ours.filter_map(|path| contents.get(path).map(|content| format!("{path} {content}"))).collect();
        if !known.is_empty() {
            service.content = hex(&Sha256::digest(known.join("\n")));
        }
    }
    Ok(())
}

/// The paths below the root that a service mounts, from the root.
fn mounts(config: &Value, service: &str, root: &Path) -> Vec<String> {
    let definition = &config["services"][service];
    let list = |key: &str| definition[key].as_array().into_iter().flatten();
    let binds = list("volumes").filter(|mount| mount["type"] == "bind").filter_map(|mount| mount["source"].as_str());
    let files = ["configs", "secrets"]
        .into_iter()
        .flat_map(|kind| list(kind).filter_map(move |used| config[kind][used["source"].as_str()?]["file"].as_str()));
    let mut paths: Vec<String> = binds
        .chain(files)
        .filter_map(|path| Path::new(path).strip_prefix(root).ok())
        .map(|path| path.to_string_lossy().trim_end_matches('/').to_owned())
        // The root itself holds `.env` and what xr writes.
        .filter(|path| !path.is_empty())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn file(path: &Path) -> Option<String> {
    xr_stack::read_small(path).ok().map(|bytes| hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_service_mounts_from_the_tree_is_found() {
        let config = json!({
            "services": {"proxy": {
                "volumes": [
                    {"type": "bind", "source": "/srv/shop/conf/nginx.conf"},
                    {"type": "bind", "source": "/etc/localtime"},
                    {"type": "bind", "source": "/srv/shop"},
                    {"type": "volume", "source": "data"},
                ],
                "configs": [{"source": "motd"}],
                "secrets": [{"source": "outside"}],
            }},
            "configs": {"motd": {"file": "/srv/shop/conf/motd"}},
            "secrets": {"outside": {"external": true}},
        });
        assert_eq!(mounts(&config, "proxy", Path::new("/srv/shop")), ["conf/motd", "conf/nginx.conf"]);
        assert!(mounts(&config, "other", Path::new("/srv/shop")).is_empty());
    }
}
