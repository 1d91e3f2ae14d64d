//! The fleet at a glance: a row for each worker.

use futures_util::future;
use jiff::Timestamp;
use serde::Serialize;
use xr_model::{Result, Worker};
use xr_session::Session;
use xr_stack::Resolved;

use crate::{
    Ledger, Seen, Target,
    observe::{self, There, look_at},
};

/// What a check of the agent itself has found.
pub const UNHEALTHY: &str = "agent is unhealthy";

/// A worker as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its destination.
    pub ssh: String,
    /// Whether it gets no new tasks.
    pub drained: bool,
    /// Whether it answers.
    pub reachable: bool,
    /// Its engine's version.
    pub engine: Option<String>,
    /// The version that its agent was made for.
    pub agent: Option<String>,
    /// Whether the agent runs, in the engine's words.
    pub state: Option<String>,
    /// The id of the image that tasks run in.
    pub image: Option<String>,
    /// What is not as it shall be.
    pub drift: Vec<String>,
    /// Of its disk, how much is free, 0 to 1.
    pub disk_free: Option<f64>,
    /// How far its clock is ahead, in seconds.
    pub clock_ahead: Option<f64>,
    /// When its agent last gave a sign of life (RFC 3339, UTC).
    pub heartbeat: Option<String>,
    /// Tasks that run there.
    pub tasks: usize,
    /// How long a question takes, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What went wrong last.
    pub error: Option<String>,
    /// Whether nothing is known of it but why.
    #[serde(skip)]
    pub absent: bool,
    /// What to do then.
    #[serde(skip)]
    pub hint: Option<String>,
}

/// All workers, looked at at once; those that do not answer are waited for together.
///
/// # Errors
/// When nothing is installed.
pub async fn rows(session: &Session<'_>, workers: &[Worker]) -> Result<Vec<Row>> {
    rows_and(session, workers, |_| {}).await
}

/// As [`rows`], for somebody who wants to know too what compose makes of the stack, which takes compose its time to say.
///
/// # Errors
/// As [`rows`].
pub async fn rows_and(session: &Session<'_>, workers: &[Worker], tell: impl FnOnce(&Resolved)) -> Result<Vec<Row>> {
    let target = async { Target::present(session).await.inspect(|target| tell(&target.resolved)) };
    let reaching = future::join_all(workers.iter().map(|worker| observe::reach(session, worker)));
    let (target, reached) = tokio::join!(target, reaching);
    let target = target?;
    let mut ledger = Ledger::read(session);
    let rows = future::join_all(workers.iter().zip(reached).map(async |(worker, reached)| {
        let seen = look_at(session, worker, reached, Some(&target)).await;
        let beat = match &seen.there {
            Ok(there) => heartbeat(&target, &seen.worker, there).await,
            Err(_) => None,
        };
        (seen, beat)
    }));
    let rows = rows.await;
    Ok(rows.into_iter().map(|(seen, beat)| row(&target, seen, beat, &mut ledger)).collect())
}

/// When the agent last touched the file that its publisher names.
async fn heartbeat(target: &Target, worker: &Worker, there: &There) -> Option<Timestamp> {
    let agent = there.agent(&target.agent_name(&worker.name))?;
    let file = target.rule.heartbeat.as_ref()?;
    there.engine.touched(&agent.id, file).await
}

fn row(target: &Target, seen: Seen, beat: Option<Timestamp>, ledger: &mut Ledger) -> Row {
    let worker = seen.worker;
    let remembered = ledger.of(&worker.name).error.clone();
    let mut row = Row {
        name: worker.name.clone(),
        ssh: worker.ssh.clone(),
        drained: worker.drained,
        reachable: false,
        engine: None,
        agent: None,
        state: None,
        image: None,
        drift: Vec::new(),
        disk_free: None,
        clock_ahead: None,
        heartbeat: beat.map(|at| at.to_string()),
        tasks: 0,
        latency_ms: None,
        error: Some(remembered).filter(|error| !error.is_empty()),
        absent: false,
        hint: None,
    };
    let there = match seen.there {
        Ok(there) => there,
        Err(absent) => {
            row.error = Some(absent.fault.chain());
            row.hint = absent.fault.hint;
            row.absent = true;
            row.reachable = absent.trouble.is_none();
            return row;
        }
    };
    let name = target.agent_name(&worker.name);
    let agent = there.agent(&name);
    row.reachable = true;
    row.engine = Some(there.engine.version().to_owned()).filter(|version| !version.is_empty());
    row.agent = agent.map(|agent| agent.version.clone());
    row.state = agent.map(|agent| agent.status.clone());
    row.tasks = there.containers.iter().filter(|one| one.role == "task" && one.running).count();
    row.latency_ms = u64::try_from(there.took.as_millis()).ok();
    row.clock_ahead = Some(there.facts.ahead);
    if there.facts.disk_size > 0 {
        row.disk_free = Some(there.facts.disk_free as f64 / there.facts.disk_size as f64);
    }
    let shown = target.task.as_ref().or(target.images.first());
    let place = shown.and_then(|shown| target.images.iter().position(|image| image.reference == shown.reference));
    row.image = place.and_then(|at| there.images.get(at).cloned().flatten());
    row.drift = drift(target, &worker, &there, &name);
    row
}

fn drift(target: &Target, worker: &Worker, there: &There, name: &str) -> Vec<String> {
    let mut drift = Vec::new();
    for (image, id) in target.images.iter().zip(&there.images) {
        if id.is_none() {
            drift.push(format!("lacks {}", image.reference));
        }
    }
    let wanted = target.agent(worker).ok().flatten();
    match (wanted, there.agent(name)) {
        (Some(_), None) => drift.push("no agent".to_owned()),
        (Some(_), Some(agent)) if agent.version != target.version => {
            drift.push(format!("agent of {}, not {}", agent.version, target.version));
        }
        (Some((_, fingerprint)), Some(agent)) if agent.fingerprint != fingerprint => {
            drift.push("agent with other settings".to_owned());
        }
        (_, Some(agent)) if !agent.running => drift.push(format!("agent does not run ({})", agent.status)),
        (_, Some(agent)) if agent.status.contains("unhealthy") => drift.push(UNHEALTHY.to_owned()),
        _ => {}
    }
    if there.agent(&format!("{name}-next")).is_some() {
        drift.push("an agent that was not confirmed".to_owned());
    }
    drift
}
