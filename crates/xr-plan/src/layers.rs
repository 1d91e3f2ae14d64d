//! Services by what they need: each layer depends only on those before it.

use std::collections::BTreeMap;

use xr_model::Service;

/// Services in layers, the innermost first. Dependencies come first in `services`.
pub fn layers(services: &[Service]) -> Vec<Vec<&Service>> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut layers: Vec<Vec<&Service>> = Vec::new();
    for service in services {
        let below = service.depends_on.iter().map(|d| &d.service).chain(&service.tied_to);
        let depth = below.filter_map(|name| depths.get(name.as_str())).map(|depth| depth + 1).max().unwrap_or(0);
        depths.insert(&service.name, depth);
        if layers.len() <= depth {
            layers.resize_with(depth + 1, Vec::new);
        }
        layers[depth].push(service);
    }
    layers
}
