//! Which networks a new version defines otherwise than the one that serves.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_model::{Generation, RemadeNetwork, Result};

use crate::World;

/// The networks that a resolved configuration makes, by their names on the engine, and what tells one definition from
/// another; an external one is somebody else's.
pub(crate) fn defined(config: &Value) -> BTreeMap<String, String> {
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
        let digest = Sha256::digest(definition.to_string());
        Some((name, digest.iter().map(|byte| format!("{byte:02x}")).collect()))
    })
    .collect()
}

/// What of a network's definition the engine goes by.
const DEFINING: [&str; 8] =
    ["driver", "driver_opts", "ipam", "internal", "attachable", "enable_ipv4", "enable_ipv6", "labels"];

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
/// that it makes them anew.
///
/// # Errors
/// When the engine does not answer.
pub(crate) async fn remade(
    world: &World<'_>,
    current: Option<&Generation>,
    wanted: &BTreeMap<String, String>,
    foretold: &[String],
) -> Result<Vec<RemadeNetwork>> {
    let mut remade = Vec::new();
    for (name, digest) in wanted {
        let before = current.and_then(|current| current.networks.get(name));
        if (before.is_some_and(|before| before != digest) || foretold.contains(name))
            && let Some(definition) = world.engine.network_definition(name).await?
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
