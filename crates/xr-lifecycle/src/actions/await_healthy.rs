//! Wait until a service's containers are healthy.

use std::time::{Duration, Instant};

use futures_util::future;
use xr_compose::{
    health::{Expectation, await_container},
    watch,
};
use xr_session::Failure;

use super::Run;

/// How long a container may crash before it counts, at a first start or while others come up beside it.
const FIRST_CRASHES: Duration = Duration::from_secs(20);

pub(crate) async fn act(run: &Run<'_, '_>, service: &str, patience: Duration, completes: bool) -> Result<(), Failure> {
    let all = run.session.containers(run.project()).await?;
    let old = run.prepared.retired_ids();
    let ours = all.iter().filter(|c| c.service == service && !old.contains(&c.id.as_str()));
    let expect = Expectation { patience, completes, must_run: false };
    run.awaited.borrow_mut().insert(service.to_owned());
    // What crashes until another one is up, and does not say that it needs it, is all right with compose.
    let (begun, cold) = (Instant::now(), run.is_cold());
    let others_come =
        || begun.elapsed() < FIRST_CRASHES && (cold || run.awaited.borrow().iter().any(|other| other != service));
    let waits =
        ours.map(|container| await_container(run.session, container, expect, &others_come, &run.session.cancel));
    // What was healthy already and falls now is the cause; that others wait for it in vain is not.
    let earlier = if cold { Vec::new() } else { run.healthy.borrow().clone() };
    let ended = tokio::select! {
        healthy = future::join_all(waits) => healthy.into_iter().collect::<Result<Vec<_>, Failure>>(),
        failure = watch::first_to_fail(run.session, &earlier) => Err(failure),
    };
    run.awaited.borrow_mut().remove(service);
    let healthy = ended?;
    run.healthy.borrow_mut().extend(healthy);
    Ok(())
}
