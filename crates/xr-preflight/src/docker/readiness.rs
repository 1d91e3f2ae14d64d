//! Docker as it is: the client, the engine behind it, and the compose plugin.

use std::{env, thread, time::Duration};

use semver::Version;
use serde_json::Value;
use xr_host::{Cmd, Output};
use xr_model::Fault;

use super::{Init, find_program};
use crate::{Check, Grade};

/// The oldest engine API that xr speaks (Docker 20.10).
pub const MINIMUM_API: (u32, u32) = (1, 41);
/// The oldest compose: the first that knows [`!reset`](https://docs.docker.com/reference/compose-file/merge/#reset-value),
/// without which a second container of a service with a fixed name cannot be made.
pub const MINIMUM_COMPOSE: Version = Version::new(2, 18, 0);

/// A frozen engine answers nobody; its question ends then.
const PATIENCE_SECONDS: &str = "30";
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineVersion {
    /// `26.1.5+dfsg1`
    pub version: String,
    /// `(1, 45)`
    pub api: (u32, u32),
}

/// The first thing that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// There is no client, or no engine: [`super::install`] mends it.
    NotInstalled,
    /// Installed, but the engine does not run.
    NotRunning,
    /// It runs, but this user may not reach it.
    PermissionDenied,
    /// It does not answer for another reason, or stands on another machine that does not.
    Unreachable,
    /// The engine is too old.
    EngineTooOld,
    /// There is no compose plugin: [`super::install`] mends it.
    ComposeMissing,
    /// The compose plugin is too old.
    ComposeTooOld,
}

/// Docker as it was found.
#[derive(Debug, Default)]
pub struct EngineReadiness {
    /// The client's version.
    pub client: Option<String>,
    /// The engine's.
    pub engine: Option<EngineVersion>,
    /// The compose plugin's.
    pub compose: Option<Version>,
    /// What is missing, for whoever decides; `None` when all is well.
    pub lack: Option<Lack>,
    /// The same as a fault with its hint, for whoever shows it.
    pub problem: Option<Fault>,
}

impl EngineReadiness {
    /// The same as checks, for a list.
    pub fn checks(&self) -> Vec<Check> {
        let found = [
            ("docker client", self.client.clone()),
            ("docker engine", self.engine.as_ref().map(|e| format!("{} (API {}.{})", e.version, e.api.0, e.api.1))),
            ("docker compose", self.compose.as_ref().map(Version::to_string)),
        ];
        let mut checks: Vec<Check> =
            found.into_iter().filter_map(|(name, what)| Some(Check::good(name, what?))).collect();
        if let Some(fault) = &self.problem {
            let check = Check {
                name: "docker".to_owned(),
                grade: Grade::Problem,
                evidence: fault.chain(),
                hint: fault.hint.clone(),
            };
            checks.push(check);
        }
        checks
    }
}

/// Everything the judgement rests on.
#[derive(Default)]
struct Answers<'a> {
    docker_host: Option<&'a str>,
    dockerd: bool,
    version: Option<(String, String)>,
    compose: Option<String>,
    compose_v1: Option<String>,
}

/// Asks client, engine and plugin, at once; changes nothing.
pub fn examine() -> EngineReadiness {
    let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let mut answers =
        Answers { docker_host: host.as_deref(), dockerd: find_program("dockerd").is_some(), ..Answers::default() };
    if find_program("docker").is_some() {
        // Not by `timeout`: the plugin that is started for the work is the one to ask.
        let compose = Cmd::new("docker").args(["compose", "version", "--short"]).patience(PATIENCE);
        let compose = thread::spawn(move || compose.run().ok());
        answers.version = ask(&["docker", "version", "--format", "{{json .}}"]).map(|o| (o.text(), o.error_text()));
        answers.compose = compose.join().ok().flatten().filter(|o| o.code == 0).map(|o| o.text());
    }
    if answers.compose.is_none() && find_program("docker-compose").is_some() {
        answers.compose_v1 = ask(&["docker-compose", "version", "--short"]).filter(|o| o.code == 0).map(|o| o.text());
    }
    judge(&answers, Init::detect())
}

/// The engine's answer alone, for whoever waits for it.
pub(super) fn engine_answers() -> bool {
    ask(&["docker", "version", "--format", "{{.Server.Version}}"]).is_some_and(|output| output.code == 0)
}

fn ask(argv: &[&str]) -> Option<Output> {
    Cmd::new("timeout").arg(PATIENCE_SECONDS).args(argv).run().ok()
}

fn judge(answers: &Answers, init: Init) -> EngineReadiness {
    let (json, said) = answers.version.as_ref().map_or(("", ""), |(json, said)| (json.as_str(), said.as_str()));
    let json: Value = serde_json::from_str(json).unwrap_or_default();
    let mut found = EngineReadiness {
        client: json["Client"]["Version"].as_str().map(str::to_owned),
        engine: engine(&json["Server"]),
        compose: answers.compose.as_deref().and_then(lenient_version),
        ..EngineReadiness::default()
    };
    let problem = if answers.version.is_none() {
        Some((Lack::NotInstalled, Fault::new("Docker is not installed").hint("xr install")))
    } else if let Some(engine) = &found.engine {
        engine_too_old(engine).or_else(|| compose_problem(found.compose.as_ref(), answers.compose_v1.as_deref()))
    } else {
        Some(silent_engine(answers, said, init))
    };
    (found.lack, found.problem) = problem.unzip();
    found
}

fn engine(server: &Value) -> Option<EngineVersion> {
    let (major, minor) = server["ApiVersion"].as_str()?.split_once('.')?;
    let version = server["Version"].as_str().unwrap_or_default().to_owned();
    Some(EngineVersion { version, api: (major.parse().ok()?, minor.parse().ok()?) })
}

fn engine_too_old(engine: &EngineVersion) -> Option<(Lack, Fault)> {
    let ((major, minor), (want_major, want_minor)) = (engine.api, MINIMUM_API);
    (engine.api < MINIMUM_API).then(|| {
        let message = format!(
            "Docker Engine {} is too old: it speaks API {major}.{minor}, xr needs {want_major}.{want_minor} (Docker 20.10)",
            engine.version
        );
        (Lack::EngineTooOld, Fault::new(message).hint("upgrade Docker with the system's package manager"))
    })
}

fn compose_problem(compose: Option<&Version>, v1: Option<&str>) -> Option<(Lack, Fault)> {
    match compose {
        Some(version) if *version >= MINIMUM_COMPOSE => None,
        Some(version) => Some((
            Lack::ComposeTooOld,
            Fault::new(format!("docker compose {version} is too old: xr needs {MINIMUM_COMPOSE}")).hint("xr install"),
        )),
        None => {
            let message = match v1.and_then(lenient_version) {
                Some(v1) if v1 < MINIMUM_COMPOSE => {
                    format!(
                        "docker-compose {v1} is here, but that is version 1; the plugin `docker compose` is missing"
                    )
                }
                _ => "the plugin `docker compose` is not installed".to_owned(),
            };
            Some((Lack::ComposeMissing, Fault::new(message).hint("xr install")))
        }
    }
}

fn silent_engine(answers: &Answers, said: &str, init: Init) -> (Lack, Fault) {
    let last = said.lines().last().unwrap_or("it did not answer in time").trim();
    let lower = said.to_lowercase();
    if lower.contains("podman") {
        return (
            Lack::Unreachable,
            Fault::new("`docker` is podman here, and xr needs a Docker Engine")
                .hint("remove podman-docker, then: xr install"),
        );
    }
    // Not so with DOCKER_HOST on another machine, where this user's groups here count for nothing.
    let here = answers.docker_host.is_none_or(|host| host.starts_with("unix://"));
    if here && lower.contains("permission denied") {
        let at = answers.docker_host.map(|host| format!(" at {host}")).unwrap_or_default();
        let fault =
            Fault::new(format!("this user may not reach the Docker engine{at}: permission denied on its socket"))
                .hint("sudo usermod -aG docker $USER, then log in again; or run xr with sudo");
        return (Lack::PermissionDenied, fault);
    }
    if let Some(host) = answers.docker_host {
        let fault = Fault::new(format!("no Docker engine answers at DOCKER_HOST={host}: {last}"))
            .hint("unset DOCKER_HOST, or correct it; `docker version` must show a server");
        return (Lack::Unreachable, fault);
    }
    if !answers.dockerd && lower.contains("cannot connect") {
        let fault = Fault::new("the Docker client is installed, but no engine").hint("xr install");
        return (Lack::NotInstalled, fault);
    }
    if lower.contains("cannot connect") || lower.contains("connection refused") {
        let fault = Fault::new("Docker is installed, but its engine is not running").hint(init.start_hint());
        return (Lack::NotRunning, fault);
    }
    (Lack::Unreachable, Fault::new(format!("the Docker engine does not answer: {last}")).hint("docker version"))
}

/// Distributions add to versions what semver does not allow: `v2.24.6+ds1-0ubuntu1~22.04.1` is 2.24.6.
fn lenient_version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some(Version::new(major, next(), next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"Client":{"Version":"28.2.2"},"Server":{"Version":"26.1.5","ApiVersion":"1.45"}}"#;
    const OLD: &str = r#"{"Client":{"Version":"19.03.8"},"Server":{"Version":"19.03.8","ApiVersion":"1.40"}}"#;
    const SILENT: &str = r#"{"Client":{"Version":"28.2.2"},"Server":null}"#;
    const DOWN: &str =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    const DENIED: &str =
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";

    fn judged(
        version: Option<(&str, &str)>,
        dockerd: bool,
        host: Option<&str>,
        compose: Option<&str>,
    ) -> EngineReadiness {
        let version = version.map(|(json, said)| (json.to_owned(), said.to_owned()));
        let answers = Answers {
            docker_host: host,
            dockerd,
            version,
            compose: compose.map(str::to_owned),
            compose_v1: Some("1.29.2".to_owned()),
        };
        judge(&answers, Init::SysV)
    }

    #[test]
    fn each_lack_is_told_from_the_others() {
        for (version, dockerd, host, compose, lack) in [
            (Some((GOOD, "")), true, None, Some("2.26.1"), None),
            (None, false, None, None, Some(Lack::NotInstalled)),
            (Some((SILENT, DOWN)), false, None, None, Some(Lack::NotInstalled)),
            (Some((SILENT, DOWN)), true, None, Some("2.26.1"), Some(Lack::NotRunning)),
            (Some((SILENT, DENIED)), true, None, Some("2.26.1"), Some(Lack::PermissionDenied)),
            (Some((SILENT, DOWN)), true, Some("tcp://far:2375"), Some("2.26.1"), Some(Lack::Unreachable)),
            (Some((SILENT, DENIED)), true, Some("unix:///run/d.sock"), None, Some(Lack::PermissionDenied)),
            (Some((SILENT, DENIED)), true, Some("ssh://far"), Some("2.26.1"), Some(Lack::Unreachable)),
            (Some((SILENT, "")), true, None, Some("2.26.1"), Some(Lack::Unreachable)),
            (Some(("", "Emulate Docker CLI using podman.")), false, None, None, Some(Lack::Unreachable)),
            (Some((OLD, "")), true, None, Some("2.26.1"), Some(Lack::EngineTooOld)),
            (Some((GOOD, "")), true, None, None, Some(Lack::ComposeMissing)),
            (Some((GOOD, "")), true, None, Some("1.9.0"), Some(Lack::ComposeTooOld)),
        ] {
            let found = judged(version, dockerd, host, compose);
            assert_eq!(found.lack, lack, "{version:?}");
            assert_eq!(found.problem.is_some(), lack.is_some());
            assert!(found.problem.is_none_or(|fault| fault.hint.is_some()), "{version:?}");
        }
    }

    #[test]
    fn an_engine_that_is_down_is_started_the_way_this_machine_does_it() {
        let found = judged(Some((SILENT, DOWN)), true, None, Some("2.26.1"));
        assert_eq!(found.problem.unwrap().hint.as_deref(), Some("sudo service docker start"));
    }

    #[test]
    fn compose_version_one_is_said_not_to_be_enough() {
        let message = judged(Some((GOOD, "")), true, None, None).problem.unwrap().message;
        assert!(message.contains("docker-compose 1.29.2") && message.contains("version 1"), "{message}");
    }

    #[test]
    fn versions_are_read_in_every_spelling_of_the_distributions() {
        for (text, version) in [
            ("2.26.1", Some((2, 26, 1))),
            ("v2.29.1-desktop.1", Some((2, 29, 1))),
            ("2.24.6+ds1-0ubuntu1~22.04.1\n", Some((2, 24, 6))),
            ("2.3", Some((2, 3, 0))),
            ("unknown", None),
        ] {
            assert_eq!(lenient_version(text), version.map(|(a, b, c)| Version::new(a, b, c)), "{text}");
        }
    }

    #[test]
    fn this_machine_is_judged_without_a_panic_and_every_problem_is_a_check() {
        let found = examine();
        assert_eq!(found.checks().iter().any(|check| check.grade == Grade::Problem), found.lack.is_some());
    }
}
