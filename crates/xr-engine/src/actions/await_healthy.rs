//! Wait until a service's containers are healthy.

use std::time::Duration;

use futures_util::future;

use super::Run;
use crate::{
    failure::Failure,
    health::{Expectation, await_container},
    watch,
};

pub(crate) async fn act(run: &Run<'_, '_>, service: &str, patience: Duration, completes: bool) -> Result<(), Failure> {
    let all = run.world.engine.containers(run.project()).await?;
    let old = run.prepared.retired_ids();
    let ours = all.iter().filter(|c| c.service == service && !old.contains(&c.id.as_str()));
    let expect = Expectation { patience, completes, must_run: false };
    let waits = ours.map(|container| await_container(run.world, container, expect, &run.world.cancel));
    // What was healthy already and falls now is the cause; that others wait for it in vain is not.
    let earlier = run.healthy.borrow().clone();
    let healthy = tokio::select! {
        healthy = future::join_all(waits) => healthy.into_iter().collect::<Result<Vec<_>, Failure>>()?,
        failure = watch::first_to_fail(run.world, &earlier) => return Err(failure),
    };
    run.healthy.borrow_mut().extend(healthy);
    Ok(())
}
