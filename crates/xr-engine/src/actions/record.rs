//! Record the generation and point at it. From here on the new version is the truth.

use xr_model::{Container, ContainerState, Generation, RunKind, Service};

use super::Run;
use crate::{clock, failure::Failure};

pub(crate) async fn act(run: &Run<'_, '_>, number: u32) -> Result<(), Failure> {
    let world = run.world;
    // A generation that is there already is immutable.
    if run.prepared.plan.kind != RunKind::Rollback && run.prepared.plan.from != Some(number) {
        let mut generation: Generation = run.prepared.generation.clone();
        generation.applied_at = clock::now();
        for image in &mut generation.images {
            if let Some(local) = world.engine.image(image.reference.as_str()).await? {
                image.image_id = local.id;
            }
        }
        let old = run.prepared.retired_ids();
        let mut now = world.engine.containers(run.project()).await?;
        now.retain(|container| !old.contains(&container.id.as_str()));
        generation.ended = ended(&generation.services, &now);
        world.generations.record(&generation)?;
    }
    world.generations.point_at(number)?;
    Ok(())
}

/// Services all of whose containers have ended with success.
fn ended(services: &[Service], containers: &[Container]) -> Vec<String> {
    let has_ended = |service: &&Service| {
        let mut ours = containers.iter().filter(|c| c.service == service.name).peekable();
        ours.peek().is_some() && ours.all(|c| c.state == ContainerState::Exited(0))
    };
    services.iter().filter(has_ended).map(|service| service.name.clone()).collect()
}
