//! Make each reference mean its pinned content on this engine, so that compose and the product itself run just that.

use std::collections::BTreeSet;

use xr_model::{Fault, ImageRef, Level, PinnedImage, Result};
use xr_session::Failure;

use super::Run;

pub(crate) async fn act(run: &Run<'_, '_>, images: &[PinnedImage]) -> std::result::Result<(), Failure> {
    let engine = &run.session.engine;
    let (mut to_tag, mut taken) = (Vec::new(), Vec::new());
    for image in images {
        let Some(local) = engine.find(image).await? else {
            return Err(Fault::new(format!("image {} is not on the disk", image.reference))
                .hint("xr update --refresh")
                .into());
        };
        let means = engine.image(image.reference.as_str()).await?;
        if means.as_ref().is_none_or(|means| means.id != local.id) {
            to_tag.push((local.id, &image.reference));
            taken.extend(means.map(|_| &image.reference));
        }
    }
    tell_others(run, &taken).await?;
    for (id, reference) in to_tag {
        engine.tag(&id, reference).await?;
    }
    Ok(())
}

/// A tag is the whole engine's, as it is for `docker compose pull`: other projects that use one which is to mean another image
/// are named.
async fn tell_others(run: &Run<'_, '_>, taken: &[&ImageRef]) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    let ours = &run.prepared.generation.invocation.project;
    let engine_containers = run.session.engine.all_containers().await?;
    let is_taken = |image: &str| taken.iter().any(|reference| reference.as_str() == image);
    let others: BTreeSet<(&str, &str)> = engine_containers
        .iter()
        .filter(|engine_container| {
            engine_container.project != *ours
                && !engine_container.project.is_empty()
                && is_taken(&engine_container.image)
        })
        .map(|engine_container| (engine_container.project.as_str(), engine_container.image.as_str()))
        .collect();
    for (project, image) in others {
        let text = format!(
            "{image} means another image now; project {project} uses it too, and makes its containers anew at its next \
             `docker compose up`"
        );
        run.session.say(Level::Warning, text);
    }
    Ok(())
}
