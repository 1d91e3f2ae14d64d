//! Bring an image onto the disk by digest. Nothing to undo: an image on the disk touches nobody.

use xr_image_puller::{LayerProgress, PullError, pull};
use xr_model::{Event, PinnedImage, StepId};
use xr_session::Failure;

use super::Run;

pub(crate) async fn act(run: &Run<'_, '_>, step: StepId, image: &PinnedImage) -> Result<(), Failure> {
    let sources = run.world.sources()?;
    let progress = |at: LayerProgress| {
        run.world.tell(Event::Progress {
            step: step.0,
            layer: at.layer,
            status: at.status.as_str().to_owned(),
            current: at.current,
            total: at.total,
        });
    };
    let retry = run.world.retry();
    let pulling = pull(run.world.engine.client(), image, sources, &retry, &progress);
    tokio::select! {
        pulled = pulling => pulled.map(drop).map_err(PullError::into_fault).map_err(Failure::from),
        () = run.world.cancel.raised() => Err(Failure::interrupted()),
    }
}
