//! Bringing a worker what it lacks, while its agent goes on: images by digest, the new agent's container beside the old.

use xr_host::{Engine, Remote};
use xr_image_puller::{LayerProgress, PullError, Retry, SendProgress, pull};
use xr_model::{Away, Event, Fault, ImageRef, Level, PinnedImage, Result, StepId, Worker};
use xr_session::{Failure, Session};
use xr_stack::ImagesFrom;
use xr_worker_bootstrap::Agent;

use crate::{
    Target,
    observe::{self, named},
    rollout::{Rollout, SwitchResult},
    see,
};

/// Room that a worker must have beyond its images, in KiB.
const ROOM: u64 = 256 << 10;

/// The step of a plan.
pub async fn act(
    rollout: &Rollout<'_, '_>,
    step: StepId,
    worker: &str,
    lacks: &[ImageRef],
) -> std::result::Result<(), Failure> {
    let (session, target) = (rollout.session, rollout.target()?);
    let worker = session.worker(worker)?;
    let _turn = session.turn().await;
    let lacks = lacks.iter().map(|image| target.image(image)).collect::<Result<Vec<_>>>()?;
    let work = stage(session, target, worker, &lacks, step.0, session.site.fleet.images_from);
    let staged = tokio::select! {
        staged = work => staged,
        () = session.cancel.raised() => return Err(Failure::interrupted()),
    };
    let Err(fault) = staged else { return Ok(()) };
    let fault = named(fault, worker);
    // Whatever went wrong: a worker that does not answer any more is one that is away.
    if session.site.fleet.away == Away::Skip && see(session, worker, None).await.there.is_err() {
        session.say(Level::Warning, format!("{} (left out; it catches up at its return)", fault.chain()));
        rollout.results.borrow_mut().insert(worker.name.clone(), SwitchResult::Lost(fault.chain()));
        return Ok(());
    }
    if enough_without(rollout, &worker.name, &fault) {
        session.say(Level::Warning, format!("{} (left out: the others are enough; it catches up)", fault.chain()));
        return Ok(());
    }
    Err(Failure { fault, service: Some(format!("worker {}", worker.name)), log: Vec::new() })
}

/// Notes that a worker which is there cannot be staged. Whether the quorum can be had without it: never where it is all.
fn enough_without(rollout: &Rollout<'_, '_>, worker: &str, why: &Fault) -> bool {
    let mut results = rollout.results.borrow_mut();
    results.insert(worker.to_owned(), SwitchResult::Back(why.chain(), Vec::new()));
    let taking_part = rollout.taking_part;
    let able = taking_part - results.values().filter(|result| matches!(result, SwitchResult::Back(..))).count();
    rollout.wanted.is_some_and(|fleet| able >= fleet.quorum.of(fleet.all, taking_part))
}

/// Brings the images and creates the agent.
pub(crate) async fn stage(
    session: &Session<'_>,
    target: &Target,
    worker: &Worker,
    lacks: &[&PinnedImage],
    step: u32,
    from: ImagesFrom,
) -> Result<()> {
    let remote = observe::reach(session, worker).await.map_err(|absent| absent.fault)?;
    let engine = remote.engine().await?;
    refuse_other_architecture(session, &engine).await?;
    refuse_full_disk(session, &remote).await?;
    for image in lacks {
        bring(session, &remote, &engine, image, step, from).await?;
    }
    for image in &target.images {
        let found = engine.find(&known(session, image).await?).await?;
        let found = found.ok_or_else(|| Fault::new(format!("image {} is not there", image.reference)))?;
        let means = engine.image(image.reference.as_str()).await?;
        if means.is_none_or(|means| means.id != found.id) {
            engine.tag(&found.id, &image.reference).await?;
        }
    }
    create(session, target, worker, &remote, &engine).await
}

/// Creates the new agent's container, unless the wanted one serves already or waits beside.
async fn create(
    session: &Session<'_>,
    target: &Target,
    worker: &Worker,
    remote: &Remote,
    engine: &Engine,
) -> Result<()> {
    let Some((spec, fingerprint)) = target.agent(worker)? else { return Ok(()) };
    let name = target.agent_name(&worker.name);
    let containers = engine.labelled(&target.stack).await?;
    let is = |name: &str| containers.iter().any(|one| one.name == name && one.fingerprint == fingerprint);
    let next = format!("{name}-next");
    if is(&next) {
        return Ok(());
    }
    let serves = containers.iter().any(|one| one.name == name && one.fingerprint == fingerprint && one.running);
    if serves && !containers.iter().any(|one| one.name == next) {
        return Ok(());
    }
    // What an earlier run has left beside it.
    Agent { name: &name, fingerprint: &fingerprint }.revert(remote).await?;
    if serves {
        return Ok(());
    }
    let image = target.image(&spec.image)?;
    let found = engine.find(&known(session, image).await?).await?;
    let id = found.ok_or_else(|| Fault::new(format!("image {} is not there", image.reference)))?.id;
    engine.make(target.spec(worker, spec, &fingerprint, &id)).await.map(drop)
}

/// Brings one image: by the worker's own engine from a registry, or from here, as the admin says.
pub(super) async fn bring(
    session: &Session<'_>,
    remote: &Remote,
    engine: &Engine,
    image: &PinnedImage,
    step: u32,
    from: ImagesFrom,
) -> Result<()> {
    let tell = |layer: String, status: &str, current: u64, total: u64| {
        session.tell(Event::Progress { step, layer, status: status.to_owned(), current, total });
    };
    // What was built here is in no registry.
    if from != ImagesFrom::Here && image.digest.is_some() {
        let heard = |at: LayerProgress| tell(at.layer, at.status.as_str(), at.current, at.total);
        let retry = match from {
            // There is another way, which needs no registry to come back.
            ImagesFrom::Auto => Retry { attempts: 2, ..session.retry() },
            _ => session.retry(),
        };
        match pull(engine.client(), image, session.sources()?, &retry, &heard).await {
            Ok(_) => return Ok(()),
            // A full disk is full for every way.
            Err(error) if from == ImagesFrom::Registry || matches!(error, PullError::NoSpace { .. }) => {
                return Err(error.into_fault());
            }
            Err(error) => {
                let why = error.into_fault().message;
                session.say(Level::Info, format!("{}: {why}; sending it from here", remote.destination()));
            }
        }
    }
    let name = image.reference.to_string();
    let heard = |at: SendProgress| match at {
        SendProgress::Packing => tell(name.clone(), "packing", 0, 0),
        SendProgress::Sending { done, total } => tell(name.clone(), "sending", done, total),
        SendProgress::Loading => tell(name.clone(), "loading", 0, 0),
    };
    session.sender()?.send(image, remote, engine, &heard).await.map(drop)
}

/// The image as every engine knows it: by the registry's digest, and by the id that it has here, which is all that one that was
/// sent is known by.
pub(super) async fn known(session: &Session<'_>, image: &PinnedImage) -> Result<PinnedImage> {
    let here = session.engine.find(image).await?;
    let here = here.ok_or_else(|| {
        Fault::new(format!("image {} is not on this host", image.reference)).hint("xr update --refresh")
    })?;
    Ok(PinnedImage { image_id: here.id, ..image.clone() })
}

/// The images are for this host's machine.
async fn refuse_other_architecture(session: &Session<'_>, engine: &Engine) -> Result<()> {
    let (ours, theirs) = tokio::join!(session.engine.info(), engine.info());
    let (ours, theirs) = (ours?.architecture, theirs?.architecture);
    if ours == theirs {
        return Ok(());
    }
    Err(Fault::new(format!("its machine is {theirs}, and the images here are for {ours}"))
        .hint("a worker needs the architecture of the control host"))
}

async fn refuse_full_disk(session: &Session<'_>, remote: &Remote) -> Result<()> {
    let facts = xr_worker_bootstrap::load_of(remote, session.site.fleet.patience).await?;
    if facts.disk_size == 0 || facts.disk_free > ROOM {
        return Ok(());
    }
    Err(Fault::new(format!("its disk is full: {} MiB are free for images", facts.disk_free >> 10))
        .hint(format!("ssh {} docker system df", remote.destination())))
}
