//! Make each reference mean its pinned content on this engine, so that compose and the product itself run just that.

use xr_model::{Fault, PinnedImage};

use super::Run;
use crate::failure::Failure;

pub(crate) async fn act(run: &Run<'_, '_>, images: &[PinnedImage]) -> Result<(), Failure> {
    let engine = &run.world.engine;
    for image in images {
        let Some(local) = engine.find(image).await? else {
            return Err(Fault::new(format!("image {} is not on the disk", image.reference))
                .hint("xr update --refresh")
                .into());
        };
        let means = engine.image(image.reference.as_str()).await?;
        if means.is_none_or(|means| means.id != local.id) {
            engine.tag(&local.id, &image.reference).await?;
        }
    }
    Ok(())
}
