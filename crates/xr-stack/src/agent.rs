//! The agent as it runs on a worker: compose's resolved definition of the service, with what is different there.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_host::RunOptions;
use xr_model::{Fault, ImageRef, Result};

use crate::{Resolved, WorkerRule};

/// A container to make on a worker. It holds secrets.
#[derive(Clone)]
pub struct AgentSpec {
    /// The compose service that it is made after.
    pub service: String,
    /// Its image.
    pub image: ImageRef,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What it runs, and what it may do.
    pub run_options: RunOptions,
    /// Its own check, as compose writes it.
    pub health: Option<Value>,
}

/// What differs from worker to worker.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The worker's name.
    pub worker: &'a str,
    /// Under which address it reaches the server.
    pub server: &'a str,
    /// The version.
    pub version: &'a str,
}

/// The agent's container for a worker; none when the stack has no agent.
///
/// # Errors
/// When the service that the manifest names is not there, or what it sets cannot be filled in.
pub fn agent(
    resolved: &Resolved,
    rule: &WorkerRule,
    settings: &dyn Fn(&str) -> Option<String>,
    place: Place<'_>,
) -> Result<Option<AgentSpec>> {
    let Some(service) = &rule.agent else { return Ok(None) };
    let definition = &as_meant(&resolved.json["services"][service.as_str()]);
    let Some(image) = definition["image"].as_str() else {
        return Err(Fault::new(format!(
            "xr.toml: worker.agent names `{service}`, and compose has no such service with an image"
        ))
        .hint("set `agent` in [worker] of xr.toml to the service that runs on workers"));
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let texts = |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(text).collect() };
    let mut env: BTreeMap<String, String> = definition["environment"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), text(value)))
        .collect();
    env.extend(rule.env_at(settings, place));
    let mode = |key: &str| definition[key].as_str().filter(|mode| *mode == "host").map(str::to_owned);
    Ok(Some(AgentSpec {
        service: service.clone(),
        image: ImageRef::new(image),
        env,
        run_options: RunOptions {
            binds: definition["volumes"].as_array().into_iter().flatten().filter_map(bind).collect(),
            command: definition["command"].is_array().then(|| texts(&definition["command"])),
            entrypoint: definition["entrypoint"].is_array().then(|| texts(&definition["entrypoint"])),
            user: definition["user"].as_str().map(str::to_owned),
            cap_add: texts(&definition["cap_add"]),
            cap_drop: texts(&definition["cap_drop"]),
            security_opt: texts(&definition["security_opt"]),
            read_only: definition["read_only"] == true,
            privileged: definition["privileged"] == true,
            network_mode: mode("network_mode"),
            pid_mode: mode("pid"),
            extra_hosts: texts(&definition["extra_hosts"]),
        },
        health: definition.get("healthcheck").cloned(),
    }))
}

impl WorkerRule {
    /// What is different on a worker.
    pub fn env_at<'a>(
        &'a self,
        settings: &'a dyn Fn(&str) -> Option<String>,
        place: Place<'a>,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        self.env.iter().map(move |(key, template)| (key.clone(), filled(template, settings, place)))
    }
}

impl AgentSpec {
    /// SHA-256 of all of it and of the image's content: an agent with another one is to be replaced.
    pub fn fingerprint(&self, image: &str) -> String {
        let content = serde_json::json!([self.service, image, self.env, self.run_options, self.health]);
        Sha256::digest(content.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Compose prints every `$` that is meant as `$$`, so that its own output could be read again.
fn as_meant(printed: &Value) -> Value {
    match printed {
        Value::String(text) => Value::String(text.replace("$$", "$")),
        Value::Array(parts) => parts.iter().map(as_meant).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), as_meant(value))).collect(),
        other => other.clone(),
    }
}

/// A mount of compose's long form as the engine takes it.
fn bind(mount: &Value) -> Option<String> {
    let kind = mount["type"].as_str()?;
    let (source, target) = (mount["source"].as_str()?, mount["target"].as_str()?);
    let mode = if mount["read_only"] == true { ":ro" } else { "" };
    matches!(kind, "bind" | "volume").then(|| format!("{source}:{target}{mode}"))
}

fn filled(template: &str, settings: &dyn Fn(&str) -> Option<String>, place: Place<'_>) -> String {
    let mut text = template.replace("{worker}", place.worker).replace("{server}", place.server);
    text = text.replace("{version}", place.version);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((key, behind)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&settings(key).unwrap_or_default());
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"name": "p", "services": {"agent": {
        "image": "acme/agent:v1", "environment": {"SERVER_URL": "http://server:8888", "KEY": "se$$cret", "UNSET": null, "N": 3},
        "volumes": [{"type": "bind", "source": "/proc", "target": "/host/proc", "read_only": true}],
        "network_mode": "host"}}}"#;

    fn made(rule: &WorkerRule) -> AgentSpec {
        let resolved = Resolved::parse(CONFIG, &crate::Manifest::default()).unwrap();
        let settings = |key: &str| (key == "TOKEN").then(|| "t0k".to_owned());
        let place = Place { worker: "w1", server: "https://10.0.0.1", version: "v1" };
        agent(&resolved, rule, &settings, place).unwrap().unwrap()
    }

    #[test]
    fn an_agent_has_the_services_own_environment_but_for_what_is_different_there() {
        let env = [("SERVER_URL", "{server}/api"), ("ID", "{worker}-{version}"), ("T", "${TOKEN}${NONE}!")];
        let rule = WorkerRule {
            agent: Some("agent".to_owned()),
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..WorkerRule::default()
        };
        let made = made(&rule);
        let env: Vec<String> = made.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(env, ["ID=w1-v1", "KEY=se$cret", "N=3", "SERVER_URL=https://10.0.0.1/api", "T=t0k!"]);
        assert_eq!(made.run_options.binds, ["/proc:/host/proc:ro"]);
        assert_eq!(made.run_options.network_mode.as_deref(), Some("host"));
    }

    #[test]
    fn the_fingerprint_changes_with_settings_and_with_the_image() {
        let rule = WorkerRule { agent: Some("agent".to_owned()), ..WorkerRule::default() };
        let other = WorkerRule { env: [("KEY".to_owned(), "new".to_owned())].into(), ..rule.clone() };
        assert_eq!(made(&rule).fingerprint("i1"), made(&rule).fingerprint("i1"));
        assert_ne!(made(&rule).fingerprint("i1"), made(&rule).fingerprint("i2"));
        assert_ne!(made(&rule).fingerprint("i1"), made(&other).fingerprint("i1"));
    }

    #[test]
    fn a_service_that_is_not_there_is_named() {
        let resolved = Resolved::parse(CONFIG, &crate::Manifest::default()).unwrap();
        let rule = WorkerRule { agent: Some("runner".to_owned()), ..WorkerRule::default() };
        let place = Place { worker: "w1", server: "", version: "v1" };
        let refused = agent(&resolved, &rule, &|_| None, place).err().unwrap();
        assert!(refused.message.contains("`runner`") && refused.hint.is_some());
    }
}
