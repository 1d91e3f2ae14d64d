//! What the simulated `docker` program does: what compose only computes is asked of the real compose, once for the same
//! question; `up --no-start` is done here.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use duct::cmd;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    engine::{CrashPoint, Engine, Refused},
    server::Shared,
};

/// How the program was called.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub argv: Vec<String>,
    pub stdin: String,
    pub cwd: PathBuf,
}

/// How it ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct End {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// What compose has said already.
#[derive(Debug, Default)]
pub(crate) struct Cli {
    known: Mutex<HashMap<String, End>>,
}

/// Does what `docker` was called for.
pub(crate) async fn call(shared: &Arc<Shared>, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    let call: Call = serde_json::from_slice(bytes).map_err(|error| (400, error.to_string()))?;
    let worker = Arc::clone(shared);
    let end = tokio::task::spawn_blocking(move || match subcommand(&call.argv) {
        Some("up") => up(&worker, &call),
        Some("config" | "version") => worker.cli.ask(&call),
        // Whatever else the real program does, it does with this engine.
        _ => real(&call, &worker.docker_host()),
    });
    let end = end.await.map_err(|error| (500, error.to_string()))?;
    shared.publish();
    serde_json::to_vec(&end).map_err(|error| (500, error.to_string()))
}

/// `up` of `compose --project-directory d -f x up …`
fn subcommand(argv: &[String]) -> Option<&str> {
    let mut rest = argv.iter().map(String::as_str).skip_while(|arg| *arg != "compose").skip(1);
    while let Some(arg) = rest.next() {
        match arg {
            "--project-directory" | "-f" | "--env-file" | "--profile" | "-p" => drop(rest.next()),
            arg if arg.starts_with('-') => {}
            arg => return Some(arg),
        }
    }
    None
}

impl Cli {
    /// The real program's answer. Where the files lie does not count, only what they say.
    fn ask(&self, call: &Call) -> End {
        let mut key = String::new();
        let mut files = false;
        for arg in &call.argv {
            if std::mem::replace(&mut files, matches!(arg.as_str(), "-f" | "--env-file" | "--project-directory"))
                && arg != "-"
            {
                key += &std::fs::read_to_string(arg).unwrap_or_default();
            } else {
                key += arg;
            }
            key.push('\0');
        }
        key += &call.stdin;
        if let Some(end) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return end.clone();
        }
        let end = real(call, "");
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, end.clone());
        end
    }
}

/// Runs the real program.
fn real(call: &Call, docker_host: &str) -> End {
    let output = cmd("docker", &call.argv)
        .dir(&call.cwd)
        .env("DOCKER_HOST", docker_host)
        .stdin_bytes(call.stdin.clone())
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run();
    match output {
        Ok(output) => End {
            code: output.status.code().unwrap_or(137),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => End { code: 127, stdout: String::new(), stderr: error.to_string() },
    }
}

/// `docker compose … up --no-start --no-recreate --pull never --scale service=n`
fn up(shared: &Shared, call: &Call) -> End {
    let at = call.argv.iter().position(|arg| arg == "up").unwrap_or(call.argv.len());
    let (before, after) = call.argv.split_at(at);
    let asked = |more: &[&str], stdin: &str, before: &[String]| {
        let argv = before.iter().cloned().chain(more.iter().map(|arg| (*arg).to_owned())).collect();
        shared.cli.ask(&Call { argv, stdin: stdin.to_owned(), cwd: call.cwd.clone() })
    };
    let config = asked(&["config", "--format", "json"], &call.stdin, before);
    if config.code != 0 {
        return config;
    }
    // Of the resolved configuration, as `up` does it.
    let resolved = ["compose", "-f", "-"].map(str::to_owned);
    let hashes = asked(&["config", "--hash", "*"], &config.stdout, &resolved);
    let hashes: BTreeMap<&str, &str> = hashes.stdout.lines().filter_map(|line| line.split_once(' ')).collect();
    let config: Value = serde_json::from_str(&config.stdout).unwrap_or_default();
    let mut scales: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in after.windows(2).filter(|pair| pair[0] == "--scale") {
        if let Some((service, number)) = pair[1].split_once('=') {
            scales.insert(service, number.parse().unwrap_or(0));
        }
    }
    match create(shared, &config, &hashes, &scales, &call.cwd) {
        Ok(()) => End::default(),
        Err(Stopped::Refused((_, words))) => {
            End { code: 1, stdout: String::new(), stderr: format!("Error response from daemon: {words}\n") }
        }
        // Whoever asked is dead; compose goes on, as a program in a group of its own does.
        Err(Stopped::Killed(crash_point)) => {
            if let Some(group) = Pid::from_raw(crash_point.group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            if crash_point.all {
                return End { code: 137, ..End::default() };
            }
            match create(shared, &config, &hashes, &scales, &call.cwd) {
                Ok(()) => End::default(),
                Err(_) => End { code: 1, ..End::default() },
            }
        }
    }
}

enum Stopped {
    Refused(Refused),
    Killed(CrashPoint),
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn create(
    shared: &Shared,
    config: &Value,
    hashes: &BTreeMap<&str, &str>,
    scales: &BTreeMap<&str, usize>,
    folder: &Path,
) -> Result<(), Stopped> {
    let project = config["name"].as_str().unwrap_or_default();
    let nothing = Map::new();
    let all = |key: &str| config[key].as_object().unwrap_or(&nothing).clone();
    let own = json!({"com.docker.compose.project": project});
    {
        let mut engine = shared.engine();
        for network in all("networks").values() {
            let mut labels = network["labels"].as_object().cloned().unwrap_or_default();
            labels.extend(own.as_object().cloned().unwrap_or_default());
            engine.make_network(network["name"].as_str().unwrap_or_default(), Value::Object(labels));
        }
        for volume in all("volumes").values() {
            engine.make_volume(volume["name"].as_str().unwrap_or_default(), own.clone());
        }
    }
    for (service, definition) in all("services") {
        let wanted = scales.get(service.as_str()).copied().unwrap_or(1);
        loop {
            // The lock is taken for each container: others act in between.
            let mut engine = shared.engine();
            let numbers = numbers(&engine, project, &service);
            if numbers.len() >= wanted {
                break;
            }
            if let Some(crash_point) = engine.change() {
                return Err(Stopped::Killed(crash_point));
            }
            let number = numbers.iter().max().unwrap_or(&0) + 1;
            let name = definition["container_name"]
                .as_str()
                .map_or_else(|| format!("{project}-{service}-{number}"), str::to_owned);
            let hash = hashes.get(service.as_str()).map_or("", |hash| hash.trim());
            engine.create(&name, body(config, &service, &definition, &name, number, hash, folder))?;
        }
    }
    Ok(())
}

fn numbers(engine: &Engine, project: &str, service: &str) -> Vec<u64> {
    let ours = engine
        .containers()
        .into_iter()
        .filter(|c| c.label("com.docker.compose.project") == project && c.service() == service);
    ours.map(|c| c.label("com.docker.compose.container-number").parse().unwrap_or(0)).collect()
}

/// What compose asks the engine to create.
fn body(
    config: &Value,
    service: &str,
    definition: &Value,
    name: &str,
    number: u64,
    hash: &str,
    folder: &Path,
) -> Value {
    let project = config["name"].as_str().unwrap_or_default();
    let mut labels = definition["labels"].as_object().cloned().unwrap_or_default();
    for (key, value) in [
        ("project", project.to_owned()),
        ("service", service.to_owned()),
        ("container-number", number.to_string()),
        ("oneoff", "False".to_owned()),
        ("config-hash", hash.to_owned()),
        ("project.working_dir", folder.display().to_string()),
    ] {
        labels.insert(format!("com.docker.compose.{key}"), json!(value));
    }
    let env = definition["environment"].as_object().into_iter().flatten();
    let env: Vec<String> = env.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let mut mounts = Vec::new();
    for volume in definition["volumes"].as_array().into_iter().flatten() {
        let source = match volume["type"].as_str() {
            Some("volume") if volume["source"].is_null() => Value::Null,
            Some("volume") => config["volumes"][volume["source"].as_str().unwrap_or_default()]["name"].clone(),
            _ => volume["source"].clone(),
        };
        let read_only = volume["read_only"] == true;
        mounts.push(json!({
            "Type": volume["type"], "Source": source, "Target": volume["target"], "ReadOnly": read_only,
        }));
    }
    let mut ports = Map::new();
    for port in definition["ports"].as_array().into_iter().flatten() {
        let target = format!("{}/{}", port["target"], port["protocol"].as_str().unwrap_or("tcp"));
        ports.insert(target, json!([{"HostIp": port["host_ip"], "HostPort": port["published"]}]));
    }
    let mut endpoints = Map::new();
    for network in definition["networks"].as_object().into_iter().flatten().map(|(name, _)| name) {
        let real = config["networks"][network]["name"].as_str().unwrap_or_default();
        endpoints.insert(real.to_owned(), json!({"Aliases": [name, service]}));
    }
    json!({
        "Image": definition["image"], "Labels": labels, "Env": env,
        "Healthcheck": {"Test": definition["healthcheck"]["test"]},
        "HostConfig": {
            "Mounts": mounts, "PortBindings": ports,
            "RestartPolicy": {"Name": definition["restart"].as_str().unwrap_or("no"), "MaximumRetryCount": 0},
            "NetworkMode": endpoints.keys().next(),
        },
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    })
}
