//! Start the new containers of a service.

use std::time::Duration;

use futures_util::future;
use xr_compose::health;
use xr_model::{Container, Fault, Result, Swap};
use xr_session::{Failure, Session};

use super::Run;
use crate::service_hooks;

/// How long one may take to end that has nothing to lose.
const AT_ONCE: Duration = Duration::from_secs(2);

pub(crate) async fn act(run: &Run<'_, '_>, swap: &Swap) -> std::result::Result<(), Failure> {
    let new = run.new_of(swap).await?;
    start(run, swap, &new).await
}

/// Starts these containers.
pub(crate) async fn start(run: &Run<'_, '_>, swap: &Swap, new: &[Container]) -> std::result::Result<(), Failure> {
    if new.is_empty() {
        return Err(Fault::new(format!("{} has no new container to start", swap.service))
            .hint("docker compose ps --all")
            .into());
    }
    let starts = future::join_all(new.iter().map(|container| run.session.engine.start(&container.id))).await;
    for (container, started) in new.iter().zip(starts) {
        if let Err(fault) = started {
            let failure =
                health::failed_container(run.session, container, format!("cannot start: {}", fault.chain())).await;
            return Err(failure);
        }
    }
    service_hooks::after_start(run.session, &run.prepared.generation, &swap.service, new).await
}

/// Stops the new containers, at once: the old ones serve or are about to. One that writes data ends as it wants to. From now on
/// the engine starts none of them by itself: after a power cut there would be two on the same data.
pub(crate) async fn undo(session: &Session<'_>, project: &str, swap: &Swap) -> Result<()> {
    for new in session.newer(project, &swap.service, &swap.old).await? {
        session.engine.set_restart(&new.id, "no").await?;
        let grace = if new.holds_data() { None } else { Some(AT_ONCE) };
        session.engine.stop(&new.id, grace).await?;
    }
    Ok(())
}
