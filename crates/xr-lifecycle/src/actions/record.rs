//! Record the generation and point at it. From here on the new version is the truth.

use xr_compose::{health, networks, volumes};
use xr_model::{Container, ContainerState, Fault, Generation, RunKind, Service};
use xr_session::{Failure, now};

use super::Run;
use crate::judge;

pub(crate) async fn act(run: &Run<'_, '_>, number: u32) -> Result<(), Failure> {
    let session = run.session;
    whole(run).await?;
    // A generation that is there already is immutable.
    if run.prepared.plan.kind != RunKind::Rollback && run.prepared.plan.from != Some(number) {
        let mut generation: Generation = run.prepared.generation.clone();
        generation.applied_at = now();
        for image in &mut generation.images {
            if let Some(local) = session.engine.image(image.reference.as_str()).await? {
                image.image_id = local.id;
            }
        }
        let old = run.prepared.retired_ids();
        let mut now = session.containers(run.project()).await?;
        now.retain(|container| !old.contains(&container.id.as_str()));
        generation.ended = ended(&generation.services, &now);
        generation.config_hashes = Generation::hashes_of(&now);
        generation.networks_made = networks::as_made(&session.engine, generation.networks.keys()).await?;
        generation.unnamed_volumes = volumes::unnamed_of(&generation.services, &now);
        session.generations.record(&generation)?;
    }
    session.generations.point_at(number)?;
    Ok(())
}

/// Nothing is recorded that is not so: the whole stack is looked at anew, what the plan kept too.
async fn whole(run: &Run<'_, '_>) -> Result<(), Failure> {
    let generation = &run.prepared.generation;
    let observed = run.session.observe(run.project(), &generation.images).await?;
    let ran = run.prepared.observed.containers.iter().filter(|container| container.is_up());
    let ran: Vec<&str> = ran.map(|container| container.id.as_str()).collect();
    let wrong = judge::judge(generation, &observed, &run.prepared.retired_ids(), &ran);
    let Some(first) = wrong.first() else { return Ok(()) };
    if let Some(container) = &first.container {
        return Err(health::failed_container(run.session, container, first.what.clone()).await);
    }
    Err(Fault::new(format!("{} {}", first.service, first.what)).hint("docker compose ps --all").into())
}

/// Services all of whose containers have ended with success.
fn ended(services: &[Service], containers: &[Container]) -> Vec<String> {
    let has_ended = |service: &&Service| {
        let mut ours = containers.iter().filter(|c| c.service == service.name).peekable();
        ours.peek().is_some()
            && ours.all(|c| c.state == ContainerState::Exited(0) && judge::may_have_ended(service, c, services))
    };
    services.iter().filter(has_ended).map(|service| service.name.clone()).collect()
}
