//! Watching that containers which were found healthy stay so.

use std::time::{Duration, Instant};

use xr_model::{Container, ContainerState, Fault, Health};

use crate::{World, failure::Failure, health::guilty};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Watches for that long.
///
/// # Errors
/// One ended, was restarted or became unhealthy; with the end of its log.
pub(crate) async fn settle(
    world: &World<'_>,
    containers: &[Container],
    watch: Duration,
) -> std::result::Result<(), Failure> {
    let begun = Instant::now();
    loop {
        look(world, containers).await?;
        let left = watch.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(PAUSE)) => {}
            () = world.cancel.raised() => return Err(Failure::interrupted()),
        }
    }
}

/// Watches until one of them is no longer what it was, which is the cause of what others suffer meanwhile.
pub(crate) async fn first_to_fail(world: &World<'_>, containers: &[Container]) -> Failure {
    loop {
        if let Err(failure) = look(world, containers).await {
            return failure;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks once whether each is as it was when it was found healthy.
///
/// # Errors
/// One is not; with the end of its log.
pub(crate) async fn look(world: &World<'_>, containers: &[Container]) -> std::result::Result<(), Failure> {
    for before in containers {
        let Some(now) = world.engine.container(&before.id).await? else {
            return Err(Fault::new(format!("container {} of {} is gone", before.name, before.service)).into());
        };
        let up = match now.state {
            ContainerState::Running => true,
            ContainerState::Exited(0) => !before.is_running(),
            _ => false,
        };
        if !up || now.restarts > before.restarts || (before.is_running() && now.started_at != before.started_at) {
            let how = match now.state {
                ContainerState::Exited(code) => format!("became healthy, then ended with exit code {code}"),
                _ => "became healthy, then crashed".to_owned(),
            };
            return Err(guilty(world, &now, how).await);
        }
        if now.health == Health::Unhealthy {
            return Err(guilty(world, &now, "became healthy, then unhealthy".to_owned()).await);
        }
    }
    Ok(())
}
