//! A worker's agent: what it says, and its end.

use xr_host::Said;
use xr_model::{Fault, Result, Worker};
use xr_session::Session;
use xr_worker_bootstrap::Agent;

use crate::{
    observe::{self, named},
    target::agent_name,
};

/// Tells what a worker's agent has said, its last `tail` lines first, and goes on with `follow`.
///
/// # Errors
/// When the worker is not reached or has no agent.
pub async fn logs(
    session: &Session<'_>,
    worker: &Worker,
    tail: usize,
    follow: bool,
    hear: &mut dyn FnMut(Said<'_>),
) -> Result<()> {
    let stack = project(session)?;
    let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
    let engine = remote.engine().await.map_err(|fault| named(fault, worker))?;
    let name = agent_name(&stack, &worker.name);
    let containers = engine.labelled(&stack).await?;
    let agent = containers.iter().find(|one| one.name == name).ok_or_else(|| {
        Fault::new(format!("worker {} has no agent", worker.name)).hint(format!("xr worker sync {}", worker.name))
    })?;
    engine.log(&agent.id, Some(tail), follow, hear).await
}

/// Takes a worker's agent off its host.
///
/// # Errors
/// When the worker is not reached.
pub async fn dismiss(session: &Session<'_>, worker: &Worker) -> Result<()> {
    let stack = project(session)?;
    let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
    let name = agent_name(&stack, &worker.name);
    Agent { name: &name, fingerprint: "" }.remove(&remote).await.map_err(|fault| named(fault, worker))?;
    forget_key(session, worker).await
}

/// Ends the connection to a worker, and forgets the host key that was accepted for it.
///
/// # Errors
/// When the file of keys cannot be written.
pub async fn forget_key(session: &Session<'_>, worker: &Worker) -> Result<()> {
    let ssh = session.ssh()?;
    ssh.disconnect(&worker.ssh).await;
    ssh.forget(&worker.ssh).await
}

fn project(session: &Session<'_>) -> Result<String> {
    let current = session.generations.current()?;
    let current = current.ok_or_else(|| Fault::new("nothing is installed here").hint("xr install"))?;
    Ok(current.invocation.project)
}
