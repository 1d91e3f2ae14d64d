//! The workers' part of a run: staged with the images, switched after the control host, confirmed once it is recorded.

use xr_model::{Action, Desired, DesiredFleet, Observed, ObservedWorker, PinnedImage};

/// Workers that differ from what is wanted, with what they shall have.
fn changing<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a DesiredFleet, &'a ObservedWorker)> {
    let all = desired.fleet.iter().flat_map(|fleet| observed.fleet.iter().map(move |worker| (fleet, worker)));
    all.filter(|(fleet, worker)| !worker.up_to_date || fleet.images.iter().any(|image| !has(worker, image)))
}

fn has(worker: &ObservedWorker, image: &PinnedImage) -> bool {
    let digest = image.digest.as_ref().map(|digest| digest.0.as_str());
    worker.images.iter().any(|id| *id == image.image_id || Some(id.as_str()) == digest)
}

pub(crate) fn stage<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = Action> + 'a {
    changing(desired, observed).map(|(fleet, worker)| Action::StageWorker {
        worker: worker.name.clone(),
        lacks: fleet.images.iter().filter(|image| !has(worker, image)).map(|image| image.reference.clone()).collect(),
    })
}

/// The workers whose agent is replaced.
fn switched<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a DesiredFleet, &'a ObservedWorker)> {
    changing(desired, observed).filter(|(fleet, worker)| fleet.agent && !worker.up_to_date)
}

pub(crate) fn switch<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = Action> + 'a {
    let must = desired.fleet.as_ref().is_some_and(|fleet| fleet.quorum == xr_model::Quorum::All);
    switched(desired, observed).map(move |(_, worker)| Action::SwitchWorker { worker: worker.name.clone(), must })
}

pub(crate) fn verify(desired: &Desired, observed: &Observed) -> Option<Action> {
    let fleet = desired.fleet.as_ref()?;
    switched(desired, observed).next()?;
    Some(Action::VerifyFleet { needed: fleet.quorum.of(fleet.all, observed.fleet.len()) })
}

pub(crate) fn confirm<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = Action> + 'a {
    switched(desired, observed).map(|(_, worker)| Action::ConfirmWorker { worker: worker.name.clone() })
}
