//! Stop the old containers, start the new: the moment in which a port is not served.

use std::time::Duration;

use futures_util::future;
use xr_host::QuickArp;
use xr_model::{Attachment, Container, Result, Swap};
use xr_session::{Failure, Session};

use super::{Run, start};
use crate::service_hooks;

pub(crate) async fn act(
    run: &Run<'_, '_>,
    swap: &Swap,
    detach: &[Attachment],
    drain: Option<Duration>,
) -> std::result::Result<(), Failure> {
    // Everything that can be asked before is: nobody serves the port between the two.
    let new = run.new_of(swap).await?;
    retire(run.session, swap).await?;
    let _quick = make_way(run.session, swap, &new, detach, drain).await?;
    start::start(run, swap, &new).await
}

/// The same containers again, for the sake of what they remember.
pub(crate) async fn restart(
    run: &Run<'_, '_>,
    swap: &Swap,
    detach: &[Attachment],
    drain: Option<Duration>,
) -> std::result::Result<(), Failure> {
    service_hooks::before_stop(run.session, &swap.old).await?;
    let _quick = make_way(run.session, swap, &swap.old, detach, drain).await?;
    start_old(run.session, swap, true).await?;
    service_hooks::after_start(run.session, &run.prepared.generation, &swap.service, &swap.old).await
}

/// For a holder of ports: its clients must not wait for its address.
async fn quick_arp(session: &Session<'_>, containers: &[Container]) -> QuickArp {
    let holders = containers.iter().filter(|container| !container.ports.is_empty());
    let mut networks: Vec<String> = holders.flat_map(|c| &c.networks).map(|place| place.network.clone()).collect();
    networks.dedup();
    session.engine.quick_arp(&networks).await
}

/// Stops the old, takes the detached off their networks, and has the kernel forget who was there, for as long as what is
/// given back is held: until `next` has started.
async fn make_way(
    session: &Session<'_>,
    swap: &Swap,
    next: &[Container],
    detach: &[Attachment],
    drain: Option<Duration>,
) -> Result<QuickArp> {
    let quick = quick_arp(session, next).await;
    let stops = future::join_all(swap.old.iter().map(|old| session.engine.stop_within(&old.id, drain))).await;
    stops.into_iter().collect::<Result<Vec<()>>>()?;
    let places = future::join_all(detach.iter().map(|place| session.engine.detach(place))).await;
    places.into_iter().collect::<Result<Vec<()>>>()?;
    quick.forget().await;
    Ok(quick)
}

/// A stopped container with `restart: always` comes back with the engine or the machine. Beside its successor it must not:
/// until the run has ended only xr starts it.
pub(crate) async fn retire(session: &Session<'_>, swap: &Swap) -> Result<()> {
    let all = swap.old.iter().map(|old| session.engine.set_restart(&old.id, "no"));
    future::join_all(all).await.into_iter().collect::<Result<Vec<()>>>().map(drop)
}

/// The opposite of [`retire`], and a start for those that ran.
pub(crate) async fn bring_back(session: &Session<'_>, swap: &Swap) -> Result<()> {
    let all = swap.old.iter().map(|old| session.engine.set_restart(&old.id, &old.restart));
    future::join_all(all).await.into_iter().collect::<Result<Vec<()>>>()?;
    start_old(session, swap, false).await
}

/// Restarts those old containers that run and that the engine has started by itself since the plan was made: a proxy among
/// them has found the new neighbours beside the old, and would go on asking them when they are gone.
pub(crate) async fn start_afresh(session: &Session<'_>, swap: &Swap) -> Result<()> {
    for old in swap.old.iter().filter(|old| old.is_running()) {
        let now = session.engine.container(&old.id).await?;
        if now.is_some_and(|now| now.is_running() && now.started_at != old.started_at) {
            session.engine.stop(&old.id, None).await?;
            session.engine.start(&old.id).await?;
        }
    }
    Ok(())
}

/// Starts the old containers that ran.
pub(crate) async fn start_old(session: &Session<'_>, swap: &Swap, all: bool) -> Result<()> {
    let starts = swap.old.iter().filter(|old| all || old.is_up()).map(|old| session.engine.start(&old.id));
    future::join_all(starts).await.into_iter().collect::<Result<Vec<()>>>().map(drop)
}

/// New out, the detached back on their networks, old in. Old containers that were detached have successors beside them
/// which must leave the network first, so that the old proxy does not find those.
pub(crate) async fn undo(
    session: &Session<'_>,
    project: &str,
    swap: &Swap,
    detach: &[Attachment],
    created: &[Swap],
) -> Result<()> {
    start::undo(session, project, swap).await?;
    for successor in
        created.iter().filter(|other| other.old.iter().any(|old| detach.iter().any(|place| place.container == old.id)))
    {
        for new in session.newer(project, &successor.service, &successor.old).await? {
            for place in &new.networks {
                session.engine.detach(place).await?;
            }
        }
    }
    for place in detach {
        if session.engine.container(&place.container).await?.is_some() {
            session.engine.attach(place).await?;
        }
    }
    start_afresh(session, swap).await?;
    bring_back(session, swap).await
}

/// An unchanged holder is restarted once more, so that it finds the old again.
pub(crate) async fn undo_restart(
    session: &Session<'_>,
    project: &str,
    swap: &Swap,
    detach: &[Attachment],
    created: &[Swap],
) -> Result<()> {
    for old in &swap.old {
        session.engine.stop(&old.id, None).await?;
    }
    // Nothing of this service is new: only the neighbours are put back.
    let mut old = session.containers(project).await?;
    old.retain(|container| container.service == swap.service);
    undo(session, project, &Swap { old, ..swap.clone() }, detach, created).await?;
    start_old(session, swap, false).await
}
