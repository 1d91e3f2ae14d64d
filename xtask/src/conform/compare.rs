//! What differs between two snapshots, and what may.

use serde_json::Value;

use super::snapshot::Snapshot;

/// Paths that may differ, by their end, and why.
const ALLOWED: [(&str, &str); 4] = [
    ("/Links", "a known fault: `links`, which the specification calls legacy, also name containers that were replaced"),
    ("/config/Volumes", "xr names a volume that the container has from its predecessor; compose declares it as well"),
    ("/host/RestartPolicy/MaximumRetryCount", "engines report 0 and none alike"),
    ("/config/Labels/com.docker.compose.image", "the id of the image, which the snapshot has by its name"),
];

/// A line for each difference.
///
/// Before 2.31 compose leaves a network as it is when its definition changes, as if nothing had been asked; xr makes it anew.
pub(crate) fn differences(when: &str, wanted: &Snapshot, found: &Snapshot, remakes_networks: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let of_network = |path: &str| !remakes_networks && path.starts_with("network ") && path.contains("/Options/");
    let allowed = |path: &str| of_network(path) || ALLOWED.iter().any(|(end, _)| path.ends_with(end));
    for (path, value) in wanted.iter().filter(|(path, _)| !allowed(path)) {
        match found.get(path) {
            Some(other) if other == value => {}
            Some(other) => lines.push(format!("{when}: {path}: {} instead of {}", short(other), short(value))),
            None => lines.push(format!("{when}: {path}: nothing instead of {}", short(value))),
        }
    }
    // Neither way removes what a version made that is no more.
    let is_left = |path: &str| when == "rollback" && (path.starts_with("network ") || path.starts_with("volume "));
    // Compose 2.40 puts what it keeps back on a network that it makes anew without the names it had there.
    let names = |path: &str| when == "update" && remakes_networks && path.ends_with("/Aliases");
    let is_left = |path: &str| is_left(path) || names(path);
    let more = found.iter().filter(|(path, _)| !wanted.contains_key(*path) && !allowed(path) && !is_left(path));
    lines.extend(more.map(|(path, value)| format!("{when}: {path}: {} instead of nothing", short(value))));
    lines
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
