//! Record the generation and point at it. From here on the new version is the truth.

use xr_model::{Generation, RunKind};

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
        world.generations.record(&generation)?;
    }
    world.generations.point_at(number)?;
    Ok(())
}
