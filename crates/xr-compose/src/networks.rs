//! Which networks a new version defines otherwise than the one that serves.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_host::Engine;
use xr_model::{Generation, RemadeNetwork, Result};
use xr_session::Session;

/// The networks that a resolved configuration makes, by their names on the engine, and what tells one definition from
/// another; an external one is somebody else's.
pub fn defined(config: &Value) -> BTreeMap<String, String> {
    let networks = config["networks"].as_object().into_iter().flatten();
    let own = networks.filter(|(_, network)| network["external"] != true);
    own.filter_map(|(_, network)| {
        let name = network["name"].as_str()?.to_owned();
        // What a newer compose prints beside, and what is empty, is no other definition.
        let mut definition = Value::Object(
            network
                .as_object()?
                .iter()
                .filter(|(key, value)| DEFINING.contains(&key.as_str()) && (*key == "enable_ipv4" || !is_empty(value)))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        );
        definition.sort_all_objects();
        Some((name, digest(&definition)))
    })
    .collect()
}

/// What of a network's definition the engine goes by.
const DEFINING: [&str; 8] =
    ["driver", "driver_opts", "ipam", "internal", "attachable", "enable_ipv4", "enable_ipv6", "labels"];

/// Options that newer engines add by themselves.
const OWN_OPTIONS: [&str; 3] = [".enable_ipv4", ".enable_ipv6", ".vxlanid_list"];
/// What of a network the engine keeps as it was told.
const KEPT: [&str; 5] = ["Driver", "Options", "Internal", "Attachable", "EnableIPv6"];

/// What tells one network from another in the engine's own words.
fn made(definition: &Value) -> String {
    let mut definition = definition.clone();
    if let Some(options) = definition.get_mut("Options").and_then(Value::as_object_mut) {
        options.retain(|key, _| !OWN_OPTIONS.iter().any(|own| key.ends_with(own)));
    }
    let kept = KEPT.iter().filter_map(|key| Some((*key, definition.get(*key).filter(|value| !is_empty(value))?)));
    let mut kept = Value::Object(kept.map(|(key, value)| (key.to_owned(), value.clone())).collect());
    kept.sort_all_objects();
    digest(&kept)
}

fn digest(value: &Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How the engine describes these networks now, for [`Generation::networks_made`]; those that are not there are left out.
///
/// # Errors
/// When the engine does not answer.
pub async fn as_made<'a>(engine: &Engine, names: impl Iterator<Item = &'a String>) -> Result<BTreeMap<String, String>> {
    let asked = names.map(async |name| Ok((name.clone(), engine.network_definition(name).await?)));
    let found: Vec<(String, Option<Value>)> = join_all(asked).await.into_iter().collect::<Result<_>>()?;
    Ok(found.into_iter().filter_map(|(name, definition)| Some((name, made(&definition?)))).collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Those of them that are there, and were defined otherwise by the generation that serves, or of which compose has `foretold`
/// that it makes them anew, or that somebody has made otherwise since.
///
/// # Errors
/// When the engine does not answer.
pub async fn remade(
    session: &Session<'_>,
    current: Option<&Generation>,
    wanted: &BTreeMap<String, String>,
    foretold: &[String],
) -> Result<Vec<RemadeNetwork>> {
    let mut remade = Vec::new();
    let was = current.map(|current| &current.networks_made);
    let is = as_made(&session.engine, was.into_iter().flat_map(BTreeMap::keys)).await?;
    let changed = |name: &String| is.get(name).is_some_and(|is| was.and_then(|was| was.get(name)) != Some(is));
    for (name, digest) in wanted {
        let before = current.and_then(|current| current.networks.get(name));
        if (before.is_some_and(|before| before != digest) || foretold.contains(name) || changed(name))
            && let Some(definition) = session.engine.network_definition(name).await?
        {
            remade.push(RemadeNetwork { name: name.clone(), definition });
        }
    }
    Ok(remade)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_is_known_by_what_it_was_made_with_and_not_by_the_addresses_that_it_was_given() {
        let network = |subnet: &str, internal: bool| json!({"Name": "a", "Driver": "bridge", "Internal": internal, "IPAM": {"Config": [{"Subnet": subnet}]}});
        let mut newer = network("172.18.0.0/16", false);
        newer["Options"] = json!({"com.docker.network.enable_ipv4": "true"});
        assert_eq!(made(&network("172.18.0.0/16", false)), made(&newer));
        assert_eq!(made(&network("172.18.0.0/16", false)), made(&network("172.19.0.0/16", false)));
        assert_ne!(made(&network("172.18.0.0/16", false)), made(&network("172.18.0.0/16", true)));
    }

    #[test]
    fn the_order_of_keys_and_networks_of_others_do_not_count() {
        let one = json!({"networks": {
            "default": {"name": "shop_default", "driver_opts": {"a": "1", "b": "2"}, "ipam": {}},
            "outside": {"name": "edge", "external": true},
        }});
        let same = json!({"networks": {"default": {"ipam": {}, "driver_opts": {"b": "2", "a": "1"}, "internal": false, "name": "shop_default"}}});
        let other = json!({"networks": {"default": {"name": "shop_default", "ipam": {}, "internal": true}}});
        assert_eq!(defined(&one), defined(&same));
        assert_ne!(defined(&one), defined(&other));
        assert_eq!(defined(&one).len(), 1);
    }
}
