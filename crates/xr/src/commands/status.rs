//! `xr status`: what serves, and how it is. One list and one inspect a container; no program is started.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use xr_host::Engine;
use xr_journal::{Generations, Holder, Home, PastRun, unfinished};
use xr_lifecycle::problems;
use xr_model::{Container, ContainerState, Fault, Generation, Health, Mode, Result, Worker, exit};
use xr_session::without_foreign;
use xr_stack::Site;
use xr_workers::Ledger;

use crate::{
    context,
    globals::Globals,
    print::{err, out, print_json},
    render::{
        table::table,
        time::{moment, seconds_since, span},
    },
};

/// `xr status`
#[derive(Debug, Args)]
pub struct Status {}

/// `xr status`
pub async fn run(globals: &Globals, _args: &Status) -> Result<u8> {
    let root = context::root(globals)?;
    let home = Home::of(&root);
    let run = unfinished(&home)?.map(|run| (Holder::of(&home).is_some(), run));
    let Some(generation) = Generations::of(&home).current()? else {
        return not_installed(globals, &root, run);
    };
    let observed = match Engine::connect() {
        Ok(engine) => {
            let folder = root.join(&generation.invocation.directory);
            let all = engine.containers(&generation.invocation.project).await;
            all.map(|containers| without_foreign(containers, &root, &folder))
        }
        Err(fault) => Err(fault),
    };
    let rows = rows(&generation, observed.as_deref().unwrap_or_default());
    // A run that has not ended is why something is down, and is told.
    let seen = observed.as_deref().ok().filter(|_| run.is_none());
    let problems = seen.map(|containers| problems(&generation, containers)).unwrap_or_default();
    let code = if problems.is_empty() { exit::OK } else { exit::FINDINGS };
    if globals.json {
        let mut document = document(&generation, &rows, run.as_ref());
        if let Err(fault) = &observed {
            document["error"] = json!(fault.chain());
            document["hint"] = json!(fault.hint);
            document["services"] = Value::Array(Vec::new());
        }
        document["running"] = json!(!absent(&observed));
        document["workers"] = json!(remembered(&home)?);
        document["problems"] = json!(problems);
        print_json(&document);
        return Ok(if observed.is_ok() && !absent(&observed) { code } else { exit::FAILED });
    }
    if absent(&observed) {
        return gone(&generation, run.as_ref());
    }
    head(&generation, run.as_ref());
    match observed {
        Ok(_) => {
            let head = ["SERVICE", "CONTAINER", "STATE", "HEALTH", "IMAGE", "UP"].map(str::to_owned).to_vec();
            let cells = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect::<Vec<_>>();
            table(&cells).iter().for_each(|line| out(line));
            workers(&home, &generation)?;
            if !problems.is_empty() {
                out(&format!(
                    "not as it should be: {} (xr doctor tells more, xr start brings it up)",
                    problems.join("; ")
                ));
            }
            Ok(code)
        }
        Err(fault) => {
            for service in &generation.services {
                out(&format!("recorded: {} ({})", service.name, service.image));
            }
            Err(fault)
        }
    }
}

/// Each worker with what was last seen of it: nobody is asked.
fn remembered(home: &Home) -> Result<Vec<Value>> {
    let site = Site::read(&home.site())?;
    let mut ledger = Ledger::at(home);
    let one = |worker: Worker| {
        let last = ledger.of(&worker.name);
        json!({
            "name": worker.name, "drained": worker.drained, "version": last.version, "seen_at": last.seen_at,
            "error": last.error,
        })
    };
    Ok(site.workers.into_iter().map(one).collect())
}

/// A line for the workers, and one for each that was not at this version when it was last seen.
fn workers(home: &Home, generation: &Generation) -> Result<()> {
    let all = remembered(home)?;
    if all.is_empty() {
        return Ok(());
    }
    let version = generation.version.as_str();
    let behind: Vec<&Value> = all.iter().filter(|worker| worker["version"] != version).collect();
    out(&format!(
        "workers: {} of {} at {version} when last seen (xr worker list asks them)",
        all.len() - behind.len(),
        all.len()
    ));
    for worker in behind {
        let text = |key: &str| worker[key].as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
        out(&format!("  {}: {}, {}", text("name"), text("version"), text("error")));
    }
    Ok(())
}

fn not_installed(globals: &Globals, root: &Path, run: Option<(bool, PastRun)>) -> Result<u8> {
    if globals.json {
        let run = run.as_ref().map(run_json);
        print_json(&json!({"format": 1, "installed": false, "unfinished": run, "hint": "xr install"}));
        return Ok(exit::FAILED);
    }
    if let Some(run) = &run {
        out(&run_line(run));
    }
    Err(Fault::new(format!("nothing is installed in {}", root.display())).hint("xr install"))
}

/// Whether the engine has no container of the stack.
fn absent(observed: &Result<Vec<Container>>) -> bool {
    observed.as_ref().is_ok_and(Vec::is_empty)
}

/// What was installed has no container any more: a list of its services would read like a stack that is a bit unwell.
fn gone(generation: &Generation, run: Option<&(bool, PastRun)>) -> Result<u8> {
    if let Some(run) = run {
        err(&format!("warning: {}", run_line(run)));
    }
    let (version, number, project) = (&generation.version, generation.number, &generation.invocation.project);
    let when = moment(&generation.applied_at);
    Err(Fault::new(format!(
        "nothing runs: uninstalled, or its containers were removed by hand; last was {version} (generation {number}), applied {when}, and project {project} has no container"
    ))
    .hint("xr start   # brings it up again, with the data that was kept"))
}

/// One container, or a service that has none.
struct Row {
    service: String,
    container: Option<Container>,
    image: String,
    digest: Option<String>,
    /// Whether the container runs another image than the generation's.
    drift: bool,
    /// Whether the generation has the service.
    known: bool,
}

fn rows(generation: &Generation, containers: &[Container]) -> Vec<Row> {
    let row = |service: &str, image: &str, container: Option<&Container>, known: bool| {
        let pinned = generation.images.iter().find(|image| image.services.iter().any(|name| name == service));
        let drift = container.zip(pinned).is_some_and(|(c, p)| !p.image_id.is_empty() && c.image_id != p.image_id);
        let digest = pinned.and_then(|pinned| pinned.digest.as_ref()).map(ToString::to_string).filter(|_| !drift);
        Row {
            service: service.to_owned(),
            container: container.cloned(),
            image: image.to_owned(),
            digest,
            drift,
            known,
        }
    };
    let mut rows = Vec::new();
    for service in &generation.services {
        let mut ours = containers.iter().filter(|c| c.service == service.name).peekable();
        if ours.peek().is_none() && service.replicas > 0 {
            rows.push(row(&service.name, service.image.as_str(), None, true));
        }
        rows.extend(ours.map(|c| row(&service.name, &c.image, Some(c), true)));
    }
    let strange = containers.iter().filter(|c| !generation.services.iter().any(|s| s.name == c.service));
    rows.extend(strange.map(|c| row(&c.service, &c.image, Some(c), false)));
    rows
}

impl Row {
    fn state(&self) -> String {
        match self.container.as_ref().map(|c| c.state) {
            None => "missing".to_owned(),
            Some(ContainerState::Created) => "created".to_owned(),
            Some(ContainerState::Running) => "running".to_owned(),
            Some(ContainerState::Paused) => "paused".to_owned(),
            Some(ContainerState::Restarting) => "restarting".to_owned(),
            Some(ContainerState::Exited(code)) => format!("exited ({code})"),
            Some(ContainerState::Dead) => "dead".to_owned(),
        }
    }

    fn health(&self) -> Option<&'static str> {
        let container = self.container.as_ref().filter(|c| c.is_running())?;
        match container.health {
            Health::None => None,
            Health::Starting => Some("starting"),
            Health::Healthy => Some("healthy"),
            Health::Unhealthy => Some("unhealthy"),
        }
    }

    fn uptime(&self) -> Option<u64> {
        self.container.as_ref().filter(|c| c.is_running()).and_then(|c| seconds_since(&c.started_at))
    }

    fn cells(&self) -> Vec<String> {
        let short = |digest: &String| format!("@{}", xr_model::Digest(digest.clone()).short());
        let mut image = format!("{}{}", self.image, self.digest.as_ref().map(short).unwrap_or_default());
        if self.drift {
            image += " (not the generation's)";
        }
        if !self.known {
            image += " (no service of the generation)";
        }
        vec![
            self.service.clone(),
            self.container.as_ref().map_or_else(|| "-".to_owned(), |c| c.name.clone()),
            self.state(),
            self.health().unwrap_or("-").to_owned(),
            image,
            self.uptime().map_or_else(|| "-".to_owned(), span),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "service": self.service,
            "container": self.container.as_ref().map(|c| &c.name),
            "state": self.state(),
            "health": self.health(),
            "image": self.image,
            "digest": self.digest,
            "as_recorded": self.known && !self.drift,
            "started_at": self.container.as_ref().map(|c| &c.started_at),
            "uptime_seconds": self.uptime(),
            "restarts": self.container.as_ref().map(|c| c.restarts),
        })
    }
}

fn document(generation: &Generation, rows: &[Row], run: Option<&(bool, PastRun)>) -> Value {
    json!({
        "format": 1,
        "installed": true,
        "version": generation.version,
        "generation": generation.number,
        "applied_at": generation.applied_at,
        "made_by": generation.made_by,
        "mode": generation.mode,
        "commit": generation.commit,
        "verified": generation.verified,
        "project": generation.invocation.project,
        "left_out": generation.invocation.left_out,
        "services": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "unfinished": run.map(run_json),
    })
}

fn head(generation: &Generation, run: Option<&(bool, PastRun)>) {
    let mode = match generation.mode {
        Mode::Production => "production",
        Mode::Dev => "dev: images built here",
    };
    let number = generation.number;
    out(&format!("{} (generation {number}, {mode}), applied {}", generation.version, moment(&generation.applied_at)));
    if !generation.invocation.left_out.is_empty() {
        out(&format!("left out: {}", generation.invocation.left_out.join(", ")));
    }
    for verified in &generation.verified {
        out(&format!("verified: {verified}"));
    }
    if let Some(run) = run {
        err(&format!("warning: {}", run_line(run)));
    }
}

fn run_line((under_way, run): &(bool, PastRun)) -> String {
    let (kind, version) = (run.plan.kind.as_str(), &run.plan.version);
    if *under_way && run.unwinding.is_some() {
        format!("{kind} to {version}, begun {}, is being taken back", moment(&run.at))
    } else if *under_way {
        format!("{kind} to {version} is under way since {}", moment(&run.at))
    } else {
        format!(
            "{kind} to {version}, begun {}, did not end; xr recover ends it, and so does the next xr command that changes something",
            moment(&run.at)
        )
    }
}

fn run_json((under_way, run): &(bool, PastRun)) -> Value {
    json!({"run": run.id, "at": run.at, "command": run.plan.kind, "to": run.plan.version, "under_way": under_way, "going_back": run.unwinding.is_some()})
}
