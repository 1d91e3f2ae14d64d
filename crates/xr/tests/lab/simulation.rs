//! The simulated engine is held to the real one: the same cases on both, the same plans, journals and containers.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow};
use duct::cmd;
use serde_json::Value;
use xr_lab::archive_service;
use xr_sim::{Killed, Programs, World};

use crate::support::{Setup, Stack};

/// Long enough for the real product to be healthy, or to crash after it was.
const MANIFEST: &str = "[health]\nsettle = \"5s\"\n[services.server]\npatience = \"20s\"\n";
const VERSIONS: [&str; 4] = ["v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"];
/// What is done, one after the other: the second is never healthy, the third crashes after it was.
const CASES: [&[&str]; 9] = [
    &["install", "--yes", "--version", "v1.0.0"],
    &["update", "--yes", "--to", "v1.1.0"],
    &["update", "--yes", "--to", "v1.2.0"],
    &["update", "--yes", "--to", "v1.2.1"],
    &["rollback", "--yes"],
    &["rollback", "--yes", "--to", "v1.1.0"],
    &["stop"],
    &["start", "--yes"],
    &["update", "--yes", "--to", "v1.1.0"],
];

/// What a case has led to, without what no two engines have in common: ids, addresses, times.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    code: Option<i32>,
    containers: Vec<String>,
    journal: Vec<String>,
}

#[test]
fn every_case_goes_the_same_way_on_the_simulated_and_on_the_real_engine() -> Result<()> {
    let files = archive_service(MANIFEST);
    let real = Stack::new(&Setup { versions: &VERSIONS, manifest: "", files: &files, env: &[] })?;
    let programs = Programs { xr: env!("CARGO_BIN_EXE_xr").into(), ..Programs::build()? };
    let simulated = World::new(&programs, real.lab.ports(1)?, MANIFEST, &VERSIONS)?;
    let mut seen = [Vec::new(), Vec::new()];
    for argv in CASES {
        // When the crash is found is chance: how far the run had come is not compared.
        let by_chance = argv.contains(&"v1.2.1");
        let journal = |stack: &Path| if by_chance { Ok(Vec::new()) } else { newest_journal(stack) };
        let [of_simulated, of_real] = &mut seen;
        // Both wait more than they work.
        let (on_simulated, on_real) = std::thread::scope(|scope| {
            let on_simulated = scope.spawn(|| -> Result<Trace> {
                Ok(Trace {
                    code: simulated.xr(argv, &Killed::default())?.code,
                    containers: containers(&simulated.docker_host(), simulated.project(), of_simulated)?,
                    journal: journal(simulated.root())?,
                })
            });
            let mut on_real = || -> Result<Trace> {
                Ok(Trace {
                    code: Some(real.xr(argv)?.code),
                    containers: containers(&real.lab.engine().docker_host(), &real.project, of_real)?,
                    journal: journal(&real.root)?,
                })
            };
            let on_real = on_real();
            (on_simulated.join(), on_real)
        });
        let on_simulated = on_simulated.map_err(|_| anyhow!("a thread died"))??;
        assert_eq!(on_simulated, on_real?, "xr {argv:?}: the simulated engine (left) and the real one");
    }
    Ok(())
}

/// Every container of a project, as `docker inspect` tells of it. A volume without a name is called by when it was first seen.
fn containers(docker_host: &str, project: &str, seen: &mut Vec<String>) -> Result<Vec<String>> {
    let docker = |argv: &[&str]| cmd("docker", argv).env("DOCKER_HOST", docker_host).read();
    let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("label=com.docker.compose.project={project}")])?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let argv: Vec<&str> = ["inspect"].into_iter().chain(ids.lines()).collect();
    let all: Vec<Value> = serde_json::from_str(&docker(&argv)?)?;
    let mut mounted = |mount: &Value| {
        let name = mount["Name"].as_str().unwrap_or_default();
        let unnamed = name.len() == 64 && name.chars().all(|digit| digit.is_ascii_hexdigit());
        if unnamed && !seen.iter().any(|known| known == name) {
            seen.push(name.to_owned());
        }
        let number = seen.iter().position(|known| known == name);
        let source = number.map_or_else(|| name.to_owned(), |number| format!("unnamed volume {number}"));
        format!("{} {} {source}", mount["Destination"], mount["Type"])
    };
    let mut lines: Vec<String> = all
        .iter()
        .map(|one| {
            let id = one["Id"].as_str().unwrap_or_default();
            let networks = one["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
            let places: Vec<String> =
                networks.map(|(name, at)| format!("{name}{:?}", aliases(&at["Aliases"], id))).collect();
            let mut mounts: Vec<String> = one["Mounts"].as_array().into_iter().flatten().map(&mut mounted).collect();
            mounts.sort();
            let line = format!(
                "{} {} {} {} {} {places:?} {mounts:?}",
                one["Name"],
                one["Config"]["Image"],
                one["State"]["Status"],
                one["HostConfig"]["RestartPolicy"]["Name"],
                one["Config"]["Labels"]["com.docker.compose.container-number"],
            );
            line.replace(project, "PROJECT")
        })
        .collect();
    lines.sort();
    Ok(lines)
}

fn aliases(value: &Value, id: &str) -> Vec<String> {
    let all = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<String> = all.filter(|alias| !id.starts_with(alias)).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// The steps of the newest run's plan, and what became of each; what goes on side by side in one order.
fn newest_journal(stack: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(stack.join(".xr/journal")).into_iter().flatten().flatten();
    let mut newest: Vec<_> = entries.map(|entry| entry.path()).collect();
    newest.sort();
    let Some(path) = newest.pop() else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(&path)?;
    let records = text.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>()?;
    let plan = records.first().context("an empty journal")?;
    let stages = plan["plan"]["stages"].as_array().into_iter().flatten();
    let steps = stages.flat_map(|stage| stage["steps"].as_array().into_iter().flatten());
    let mut titles: BTreeMap<u64, String> =
        steps.map(|step| (step["id"].as_u64().unwrap_or(0), action(&step["action"]))).collect();
    // What an engine has on its disk already is not pulled again.
    titles.retain(|_, title| !title.starts_with("pull_image"));
    let mut lines: Vec<String> = titles.values().map(|title| format!("planned {title}")).collect();
    for record in &records {
        let kind = record["record"].as_str().unwrap_or_default();
        if let Some(title) = record["step"].as_u64().and_then(|step| titles.get(&step)) {
            lines.push(format!("{kind} {title}"));
        }
    }
    lines.sort();
    lines.push(format!("ended {}", records.last().map_or(&Value::Null, |record| &record["outcome"]["verdict"])));
    Ok(lines)
}

/// What a step does, and to which service.
fn action(value: &Value) -> String {
    let service = value.get("swap").map_or(&value["service"], |swap| &swap["service"]);
    format!("{} {}", value["do"].as_str().unwrap_or_default(), service.as_str().unwrap_or_default())
}
