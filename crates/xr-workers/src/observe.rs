//! Looking at workers: all at once, each over one connection, the silent ones only as long as one of them.

use std::time::{Duration, Instant};

use futures_util::future;
use xr_host::{Engine, Labelled, Remote, Trouble};
use xr_model::{Fault, PinnedImage, Result, Worker};
use xr_session::Session;
use xr_worker_bootstrap::{HostFacts, load_of};

use crate::Target;

/// A worker as it is now.
pub struct Seen {
    /// Which.
    pub worker: Worker,
    /// What there is, or why nothing is known.
    pub there: std::result::Result<There, Absent>,
}

/// Why nothing is known of a worker.
#[derive(Debug)]
pub struct Absent {
    /// What kind of trouble it is; none when it was reached and its engine was not.
    pub trouble: Option<Trouble>,
    /// In words.
    pub fault: Fault,
}

/// What there is on a worker.
pub struct There {
    /// The connection.
    pub remote: Remote,
    /// Its engine.
    pub engine: Engine,
    /// The stack's containers that compose knows nothing of.
    pub containers: Vec<Labelled>,
    /// Of the wanted images: the id here, or none.
    pub images: Vec<Option<String>>,
    /// Disk, load, memory, clock.
    pub facts: HostFacts,
    /// How long a question takes.
    pub took: Duration,
}

impl There {
    /// The agent that serves, or would.
    pub fn agent(&self, name: &str) -> Option<&Labelled> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether it has all wanted images.
    pub fn has_images(&self) -> bool {
        self.images.iter().all(Option::is_some)
    }

    /// Whether the agent is the wanted one and runs, and no other one waits beside it.
    pub fn has_agent(&self, name: &str, wanted: &str) -> bool {
        self.agent(name).is_some_and(|agent| agent.running && agent.fingerprint == wanted)
            && self.agent(&format!("{name}-next")).is_none()
    }
}

/// A connection to a worker, at the fleet's pace.
pub(crate) async fn reach(session: &Session<'_>, worker: &Worker) -> std::result::Result<Remote, Absent> {
    let ssh = session.ssh().map_err(|fault| Absent { trouble: Some(Trouble::Settings), fault })?;
    ssh.connect(&worker.ssh)
        .await
        .map_err(|unreached| Absent { trouble: Some(unreached.kind), fault: named(unreached.fault, worker) })
}

/// The fault with the worker's name before it.
pub(crate) fn named(fault: Fault, worker: &Worker) -> Fault {
    let name = format!("worker {}", worker.name);
    if fault.message.starts_with(&name) {
        return fault;
    }
    Fault { message: format!("{name}: {}", fault.message), ..fault }
}

/// Looks at one worker.
pub async fn see(session: &Session<'_>, worker: &Worker, target: Option<&Target>) -> Seen {
    // Who waits for a turn to connect is not silent.
    let reached = reach(session, worker).await;
    look_at(session, worker, reached, target).await
}

/// Looks at one worker that is reached, or is not.
pub(super) async fn look_at(
    session: &Session<'_>,
    worker: &Worker,
    reached: std::result::Result<Remote, Absent>,
    target: Option<&Target>,
) -> Seen {
    let limit = session.site.fleet.patience;
    let there = async {
        let remote = reached?;
        let fail = |fault: Fault| Absent { trouble: None, fault: named(fault, worker) };
        let begun = Instant::now();
        let asked = async { tokio::join!(load_of(&remote, limit), engine(&remote, target)) };
        let Ok((facts, engine)) = tokio::time::timeout(limit * 2, asked).await else {
            let text = format!("worker {} said nothing for {} s", worker.name, (limit * 2).as_secs());
            let fault = Fault::new(text).hint(format!("ssh -v {} true", worker.ssh)).code(xr_model::exit::TRY_LATER);
            return Err(Absent { trouble: Some(Trouble::Away), fault });
        };
        let took = begun.elapsed();
        let (facts, (engine, containers, images)) = (facts.map_err(fail)?, engine.map_err(fail)?);
        Ok(There { remote, engine, containers, images, facts, took })
    };
    Seen { worker: worker.clone(), there: there.await }
}

/// Looks at these workers, all at once.
pub async fn see_all(session: &Session<'_>, workers: &[Worker], target: Option<&Target>) -> Vec<Seen> {
    future::join_all(workers.iter().map(|worker| see(session, worker, target))).await
}

async fn engine(remote: &Remote, target: Option<&Target>) -> Result<(Engine, Vec<Labelled>, Vec<Option<String>>)> {
    let engine = remote.engine().await?;
    let Some(target) = target else { return Ok((engine, Vec::new(), Vec::new())) };
    let images = future::join_all(target.images.iter().map(|image| id(&engine, image)));
    let (containers, images) = tokio::join!(engine.labelled(&target.stack), images);
    let images = images.into_iter().collect::<Result<Vec<_>>>()?;
    Ok((engine, containers?, images))
}

/// The id that the wanted content has there.
async fn id(engine: &Engine, image: &PinnedImage) -> Result<Option<String>> {
    Ok(engine.find(image).await?.map(|found| found.id))
}
