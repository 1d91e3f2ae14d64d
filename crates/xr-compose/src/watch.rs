//! Watching that containers which were found healthy stay so.

use std::time::{Duration, Instant};

use futures_util::future;
use xr_host::Probe;
use xr_model::{Container, ContainerState, Fault, Health};
use xr_session::{Failure, Session};

use crate::health::failed_container;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two questions to a container's own check.
const ASK: Duration = Duration::from_secs(1);

/// Watches for that long, and asks their own checks: an engine that asks every 30 s has nothing to tell yet.
///
/// # Errors
/// One ended, was restarted or became unhealthy; with the end of its log.
pub async fn settle(
    session: &Session<'_>,
    containers: &[Container],
    watch: Duration,
) -> std::result::Result<(), Failure> {
    let asked = containers.iter().filter(|c| c.is_running()).map(|container| stays_healthy(session, container, watch));
    let ((), _) = future::try_join(stay_up(session, containers, watch), future::try_join_all(asked)).await?;
    Ok(())
}

/// Asks a container's own check for that long, and at the end until it knows: as many failures in a row as the container
/// itself gives are one too many.
async fn stays_healthy(
    session: &Session<'_>,
    container: &Container,
    watch: Duration,
) -> std::result::Result<(), Failure> {
    let test = session.engine.health_test(&container.id).await?;
    if test.argv.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        match session.engine.probe(&container.id, &test.argv).await {
            Ok(Probe::Passed) => failures = 0,
            // One that does not run cannot be asked; its end is the better cause.
            Err(_) => look(session, std::slice::from_ref(container)).await?,
            Ok(Probe::Failed(why) | Probe::CannotRun(why)) => {
                failures += 1;
                if failures >= test.retries {
                    let how = format!("became healthy, then unhealthy: {why}");
                    return Err(failed_container(session, container, how).await);
                }
            }
        }
        if failures == 0 && begun.elapsed() + ASK > watch {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(ASK) => {}
            () = session.cancel.raised() => return Err(Failure::interrupted()),
        }
    }
}

async fn stay_up(session: &Session<'_>, containers: &[Container], watch: Duration) -> std::result::Result<(), Failure> {
    let begun = Instant::now();
    loop {
        look(session, containers).await?;
        let left = watch.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(PAUSE)) => {}
            () = session.cancel.raised() => return Err(Failure::interrupted()),
        }
    }
}

/// Watches until one of them is no longer what it was, which is the cause of what others suffer meanwhile.
pub async fn first_to_fail(session: &Session<'_>, containers: &[Container]) -> Failure {
    loop {
        if let Err(failure) = look(session, containers).await {
            return failure;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks once whether each is as it was when it was found healthy.
///
/// # Errors
/// One is not; with the end of its log.
pub async fn look(session: &Session<'_>, containers: &[Container]) -> std::result::Result<(), Failure> {
    for before in containers {
        let Some(now) = session.engine.container(&before.id).await? else {
            return Err(Fault::new(format!("container {} of {} is gone", before.name, before.service)).into());
        };
        let up = match now.state {
            ContainerState::Running => true,
            // A job is done when it ends well, whenever that is.
            ContainerState::Exited(0) => !before.is_running() || !now.is_started_again(),
            _ => false,
        };
        if !up || now.restarts > before.restarts || (before.is_running() && now.started_at != before.started_at) {
            let how = match now.state {
                ContainerState::Exited(code) => format!("became healthy, then ended with exit code {code}"),
                _ => "became healthy, then crashed".to_owned(),
            };
            return Err(failed_container(session, &now, how).await);
        }
        if now.health == Health::Unhealthy {
            return Err(failed_container(session, &now, "became healthy, then unhealthy".to_owned()).await);
        }
    }
    Ok(())
}
