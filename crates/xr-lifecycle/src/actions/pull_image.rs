//! Bring an image onto the disk by digest. Nothing to undo: an image on the disk touches nobody.

use xr_image_puller::{LayerProgress, PullError, pull};
use xr_model::{Event, PinnedImage, StepId};
use xr_session::Failure;

use super::Run;

pub(crate) async fn act(run: &Run<'_, '_>, step: StepId, image: &PinnedImage) -> Result<(), Failure> {
    let sources = run.session.sources()?;
    let progress = |at: LayerProgress| {
        run.session.tell(Event::Progress {
            step: step.0,
            layer: at.layer,
            status: at.status.as_str().to_owned(),
            current: at.current,
            total: at.total,
        });
    };
    let retry = run.session.retry();
    let pulling = pull(run.session.engine.client(), image, sources, &retry, &progress);
    tokio::select! {
        pulled = pulling => pulled.map(drop).map_err(PullError::into_fault).map_err(Failure::from),
        () = run.session.cancel.raised() => Err(Failure::interrupted()),
    }
}
