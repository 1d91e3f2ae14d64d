//! Files that compose writes into a container itself: `configs` with their content in the compose file or in a variable, and
//! `secrets` in a variable. They are no part of what an engine is asked to create
//! ([specification](https://github.com/compose-spec/compose-spec/blob/main/08-configs.md)).

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Permission bits where the compose file gives none, as the
/// [specification](https://github.com/compose-spec/compose-spec/blob/main/05-services.md#long-syntax) says.
const MODE: u32 = 0o444;

/// A file that a service finds in its container. It may be a secret: there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Where, from the root of the container.
    pub path: String,
    /// What it says.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
}

/// The files of one service of a resolved configuration; `value` gives variables.
pub fn inline_files(config: &Value, service: &str, value: &dyn Fn(&str) -> Option<String>) -> Vec<InlineFile> {
    let definition = &config["services"][service];
    let mut files = Vec::new();
    for (kind, folder) in [("configs", "/"), ("secrets", "/run/secrets/")] {
        for used in definition[kind].as_array().into_iter().flatten() {
            let Some(source) = used["source"].as_str() else { continue };
            let Some(content) = content(&config[kind][source], value) else { continue };
            let target = used["target"].as_str().filter(|target| !target.is_empty()).unwrap_or(source);
            let path = if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") };
            let id = |key: &str| used[key].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
            files.push(InlineFile { path, content, mode: mode(&used["mode"]), owner: (id("uid"), id("gid")) });
        }
    }
    files
}

/// What a service's inline files say, for telling one definition from another; none when it has none.
pub(crate) fn digest(config: &Value, service: &str) -> Option<String> {
    let name = |variable: &str| Some(format!("${variable}"));
    let files = inline_files(config, service, &name);
    if files.is_empty() {
        return None;
    }
    let mut digest = Sha256::new();
    for file in files {
        digest.update(format!("{}\0{:o}\0{}\0", file.path, file.mode, file.content));
    }
    Some(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn content(defined: &Value, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match (defined["content"].as_str(), defined["environment"].as_str()) {
        (Some(content), _) if !content.is_empty() => Some(content.to_owned()),
        (_, Some(variable)) if !variable.is_empty() => value(variable),
        _ => None,
    }
}

/// Compose prints a mode as octal digits, its older versions as a number.
fn mode(given: &Value) -> u32 {
    let octal = given.as_str().and_then(|digits| u32::from_str_radix(digits.trim_start_matches("0o"), 8).ok());
    octal.or_else(|| given.as_u64().and_then(|mode| u32::try_from(mode).ok())).unwrap_or(MODE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_compose_writes_into_a_container_is_found_with_its_place_and_mode() {
        let config = json!({
            "services": {"web": {
                "configs": [
                    {"source": "site", "target": "/www/index.html"},
                    {"source": "motd"},
                    {"source": "mounted", "target": "/etc/mounted"},
                ],
                "secrets": [
                    {"source": "token", "target": "api", "mode": "0400", "uid": "70", "gid": "71"},
                    {"source": "old", "mode": 288},
                ],
            }},
            "configs": {"site": {"content": "mine"}, "motd": {"environment": "MOTD"}, "mounted": {"file": "/srv/m"}},
            "secrets": {"token": {"environment": "TOKEN"}, "old": {"environment": "TOKEN"}},
        });
        let value = |name: &str| Some(format!("value of {name}"));
        let files = inline_files(&config, "web", &value);
        let told: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.content.as_str(), f.mode, f.owner)).collect();
        assert_eq!(
            told,
            [
                ("/www/index.html", "mine", 0o444, (0, 0)),
                ("/motd", "value of MOTD", 0o444, (0, 0)),
                ("/run/secrets/api", "value of TOKEN", 0o400, (70, 71)),
                ("/run/secrets/old", "value of TOKEN", 0o440, (0, 0)),
            ]
        );
        assert!(digest(&config, "web").is_some());
        assert!(digest(&json!({"services": {"web": {"image": "x"}}}), "web").is_none());
    }
}
