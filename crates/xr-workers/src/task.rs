//! One task: the worker image at the stack's version, on the host that has most to give.

use std::{collections::HashMap, time::Instant};

use futures_util::future;
use xr_host::{ContainerSpec, Engine, ROLE, RunOptions, STACK, Said, VERSION};
use xr_model::{Fault, Level, PinnedImage, Result, Worker, exit};
use xr_session::Session;
use xr_worker_bootstrap::{HostFacts, load_here};

use crate::{
    Seen, Target,
    observe::There,
    see_all,
    stage::{bring, known},
};

/// What makes a host a worse place for a task; the sum of all is 1. docs/workers.md explains them.
const CPU: f64 = 0.4;
const MEMORY: f64 = 0.3;
const TASKS: f64 = 0.2;
const LATENCY: f64 = 0.1;
/// A host that answers this slowly, in seconds, is as far as one can be.
const FAR: f64 = 0.5;
/// Memory that a task needs at least, in KiB.
const LEAST_MEMORY: u64 = 64 << 10;
/// This host.
pub const HERE: &str = "local";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct TaskOrder {
    /// On this worker; `local` for this host.
    pub worker: Option<String>,
    /// On a worker with these labels.
    pub labels: Vec<(String, Option<String>)>,
    /// What the image's program is given.
    pub args: Vec<String>,
    /// Whether nobody waits for its end.
    pub detach: bool,
}

/// A task that was started.
pub struct Task {
    /// Where: a worker's name, or `local`.
    pub host: String,
    /// Its container.
    pub id: String,
    /// Its container's name.
    pub name: String,
    engine: Engine,
}

/// A host that a task could run on.
struct Place<'a> {
    name: &'a str,
    engine: &'a Engine,
    worker: Option<&'a Worker>,
    there: Option<&'a There>,
    score: f64,
}

/// Starts a task on the best host.
///
/// # Errors
/// When no host fits: each with its reason.
pub async fn start(session: &Session<'_>, order: &TaskOrder) -> Result<Task> {
    let target = Target::present(session).await?;
    let Some(image) = target.task.clone() else {
        return Err(Fault::new("this stack has no image for tasks")
            .hint("xr.toml: [worker] task = \"IMAGE\", or an entry under [[images]]   (docs/workers.md)")
            .code(exit::USAGE));
    };
    let candidates = candidates(session, order)?;
    let local = order.labels.is_empty() && order.worker.as_deref().is_none_or(|name| name == HERE);
    let (seen, here) = tokio::join!(see_all(session, &candidates, Some(&target)), async {
        if local { Some(here(session, &target).await) } else { None }
    });
    let mut unfit = Vec::new();
    let mut places = Vec::new();
    if let Some((facts, tasks, took)) = here {
        match fits(&facts) {
            None => places.push(Place {
                name: HERE,
                engine: &session.engine,
                worker: None,
                there: None,
                score: score(&facts, tasks, took),
            }),
            Some(why) => unfit.push(format!("{HERE}: {why}")),
        }
    }
    for one in &seen {
        match judge(&target, one) {
            Ok((there, score)) => {
                places.push(Place {
                    name: &one.worker.name,
                    engine: &there.engine,
                    worker: Some(&one.worker),
                    there: Some(there),
                    score,
                });
            }
            Err(why) => unfit.push(format!("{}: {why}", one.worker.name)),
        }
    }
    places.sort_by(|a, b| a.score.total_cmp(&b.score));
    let Some(best) = places.first() else {
        let hint = match unfit.iter().any(|why| why.contains("not the stack's")) {
            true => "xr worker sync",
            false => "xr worker list",
        };
        return Err(Fault::new(format!("no host fits: {}", unfit.join("; "))).hint(hint));
    };
    begin(session, &target, &image, best, order).await
}

/// That no worker has these labels.
pub fn nobody_has(labels: &[(String, Option<String>)]) -> Fault {
    let spelled = labels.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    });
    let spelled: Vec<String> = spelled.collect();
    Fault::new(format!("no worker has the label {}", spelled.join(" and "))).hint("xr worker list").code(exit::USAGE)
}

/// The workers that are asked.
fn candidates(session: &Session<'_>, order: &TaskOrder) -> Result<Vec<Worker>> {
    match &order.worker {
        Some(name) if name == HERE => Ok(Vec::new()),
        Some(name) => Ok(vec![session.worker(name)?.clone()]),
        None => {
            let fitting: Vec<Worker> =
                session.site.workers.iter().filter(|worker| worker.matches(&order.labels)).cloned().collect();
            if fitting.is_empty() && !order.labels.is_empty() {
                return Err(nobody_has(&order.labels));
            }
            Ok(fitting)
        }
    }
}

/// Why a worker cannot be used, or how good it is.
fn judge<'a>(target: &Target, seen: &'a Seen) -> std::result::Result<(&'a There, f64), String> {
    let there = seen.there.as_ref().map_err(|absent| absent.fault.message.clone())?;
    if seen.worker.drained {
        return Err("drained".to_owned());
    }
    if target.rule.agent.is_some() {
        let agent = there.agent(&target.agent_name(&seen.worker.name));
        let version = agent.map_or("nothing", |agent| agent.version.as_str());
        if version != target.version {
            return Err(format!("its version is {version}, not the stack's {}", target.version));
        }
    }
    if let Some(why) = fits(&there.facts) {
        return Err(why);
    }
    let tasks = there.containers.iter().filter(|one| one.role == "task" && one.running).count();
    Ok((there, score(&there.facts, tasks, there.took.as_secs_f64())))
}

fn fits(facts: &HostFacts) -> Option<String> {
    (facts.memory > 0 && facts.memory_free < LEAST_MEMORY)
        .then(|| format!("only {} MiB of memory are free", facts.memory_free >> 10))
}

/// How bad a place is: 0 is idle and near.
fn score(facts: &HostFacts, tasks: usize, took: f64) -> f64 {
    let cpus = f64::from(facts.cpus.max(1));
    let used = if facts.memory == 0 { 0.5 } else { 1.0 - facts.memory_free as f64 / facts.memory as f64 };
    CPU * (facts.load / cpus).min(1.0)
        + MEMORY * used
        + TASKS * (tasks as f64 / cpus).min(1.0)
        + LATENCY * (took / FAR).min(1.0)
}

async fn here(session: &Session<'_>, target: &Target) -> (HostFacts, usize, f64) {
    let begun = Instant::now();
    let (facts, containers) = tokio::join!(load_here(), session.engine.labelled(&target.stack));
    let tasks = containers.unwrap_or_default().iter().filter(|one| one.role == "task" && one.running).count();
    (facts.unwrap_or_default(), tasks, begun.elapsed().as_secs_f64())
}

async fn begin(
    session: &Session<'_>,
    target: &Target,
    image: &PinnedImage,
    place: &Place<'_>,
    order: &TaskOrder,
) -> Result<Task> {
    let image = &known(session, image).await?;
    if let (None, Some(there)) = (place.engine.find(image).await?, place.there) {
        bring(session, &there.remote, place.engine, image, 0, session.site.fleet.images_from).await?;
    }
    let found = place.engine.find(image).await?;
    let id = found.ok_or_else(|| Fault::new(format!("image {} is not on {}", image.reference, place.name)))?.id;
    let name = format!("{}-task-{}", target.stack, unique());
    let labels = [(STACK, target.stack.as_str()), (ROLE, "task"), (VERSION, target.version.as_str())];
    let spec = ContainerSpec {
        name: name.clone(),
        image: id,
        env: place.worker.map(|worker| target.task_env(worker)).unwrap_or_default(),
        run_options: RunOptions {
            command: (!order.args.is_empty()).then(|| order.args.clone()),
            ..RunOptions::default()
        },
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<HashMap<_, _>>(),
        remove_at_end: order.detach,
        ..ContainerSpec::default()
    };
    let id = place.engine.make(spec).await?;
    if let Err(fault) = place.engine.start(&id).await {
        let _ = place.engine.remove(&id, true).await;
        return Err(fault);
    }
    Ok(Task { host: place.name.to_owned(), id, name, engine: place.engine.clone() })
}

impl Task {
    /// Tells what it says until it ends, then removes it: its exit code. A cancellation ends it.
    ///
    /// # Errors
    /// When its engine breaks off.
    pub async fn follow(&self, session: &Session<'_>, hear: &mut dyn FnMut(Said<'_>)) -> Result<i64> {
        let told = async {
            let (told, ended) =
                future::join(self.engine.log(&self.id, None, true, hear), self.engine.wait_for_end(&self.id)).await;
            told.and(ended)
        };
        let ended = tokio::select! {
            ended = told => ended,
            () = session.cancel.raised() => {
                self.engine.stop(&self.id, Some(std::time::Duration::from_secs(10))).await?;
                Ok(i64::from(exit::INTERRUPTED))
            }
        };
        if let Err(fault) = self.engine.remove(&self.id, true).await {
            session.say(Level::Warning, fault.chain());
        }
        ended
    }
}

/// Eight hex digits that no other task has had lately.
fn unique() -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    format!("{:08x}", (now ^ i128::from(std::process::id()) << 20) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_near_host_is_better_than_a_busy_far_one() {
        let idle = HostFacts { cpus: 4, memory: 1000, memory_free: 900, load: 0.1, ..HostFacts::default() };
        let busy = HostFacts { load: 4.0, ..idle.clone() };
        let full = HostFacts { memory_free: 100, ..idle.clone() };
        let best = score(&idle, 0, 0.01);
        for worse in [score(&busy, 0, 0.01), score(&full, 0, 0.01), score(&idle, 4, 0.01), score(&idle, 0, 0.5)] {
            assert!(best < worse && worse <= 1.0, "{best} {worse}");
        }
    }

    #[test]
    fn a_host_without_memory_is_no_place() {
        assert!(fits(&HostFacts { memory: 1 << 20, memory_free: 1 << 10, ..HostFacts::default() }).is_some());
        assert_eq!(fits(&HostFacts { memory: 1 << 20, memory_free: 1 << 19, ..HostFacts::default() }), None);
    }
}
