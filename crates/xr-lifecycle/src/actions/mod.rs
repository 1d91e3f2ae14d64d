//! One action, one file: what it does, and how it is undone.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use xr_model::{Action, Container, Step, StepId, Swap};
use xr_session::{Failure, Session};
use xr_workers::Rollout;

use crate::prepare::Prepared;

pub(crate) mod await_healthy;
pub(crate) mod backup;
pub(crate) mod create_containers;
pub(crate) mod hook;
pub(crate) mod inject;
pub(crate) mod nature;
pub(crate) mod pull_image;
pub(crate) mod record;
pub(crate) mod remake_networks;
pub(crate) mod remove_old;
pub(crate) mod restore;
pub(crate) mod settle;
pub(crate) mod start;
pub(crate) mod stop_old;
pub(crate) mod switch_over;
pub(crate) mod tag_images;

/// What a run's actions share.
pub(crate) struct Run<'a, 'w> {
    pub session: &'a Session<'w>,
    pub prepared: &'a Prepared,
    /// The run's id.
    pub id: String,
    /// Containers as they were when they were found healthy.
    pub healthy: RefCell<Vec<Container>>,
    /// Services whose health is awaited at this moment.
    pub awaited: RefCell<BTreeSet<String>>,
    /// Steps that had nothing to do, and why.
    pub skipped: RefCell<BTreeMap<StepId, String>>,
    /// The workers, and what became of each so far.
    pub workers: Rollout<'a, 'w>,
}

impl Run<'_, '_> {
    /// The compose project.
    pub fn project(&self) -> &str {
        &self.prepared.generation.invocation.project
    }

    /// Whether nothing served before: what falls at first is given time, since nobody waits for the undo.
    pub fn is_cold(&self) -> bool {
        !self.prepared.observed.containers.iter().any(Container::is_up)
    }

    /// The containers that replace `swap.old`.
    pub async fn new_of(&self, swap: &Swap) -> xr_model::Result<Vec<Container>> {
        self.session.newer(self.project(), &swap.service, &swap.old).await
    }
}

/// Does one step.
pub(crate) async fn act(run: &Run<'_, '_>, step: &Step) -> Result<(), Failure> {
    match &step.action {
        Action::PullImage { image } => pull_image::act(run, step.id, image).await,
        Action::StageWorker { worker, lacks } => xr_workers::stage(&run.workers, step.id, worker, lacks).await,
        Action::SwitchWorker { worker, must } => xr_workers::switch(&run.workers, worker, *must).await,
        Action::VerifyFleet { needed } => xr_workers::verify(&run.workers, *needed).await,
        Action::ConfirmWorker { worker } => xr_workers::confirm_switched(&run.workers, worker).await,
        Action::Backup { index, service, .. } => backup::act(run, *index, service).await,
        Action::LoadDump { restore } => restore::load(run, step.id, restore).await,
        Action::SwapData { restore } => restore::swap(run, restore).await,
        Action::DropAside { restore } => {
            restore::drop_aside(run.session, run.project(), &run.prepared.manifest, restore).await
        }
        Action::TagImages { images } => tag_images::act(run, images).await,
        Action::SwitchFiles { generation, commit } => {
            Ok(xr_release::files::switch(run.session, &run.id, *generation, commit.as_deref())?)
        }
        Action::RemakeNetworks { networks, places } => remake_networks::act(run, networks, places).await,
        Action::CreateContainers { swaps } => create_containers::act(run, swaps).await,
        Action::Start { swap } => start::act(run, swap).await,
        Action::SwitchOver { swap, detach, drain } => switch_over::act(run, swap, detach, *drain).await,
        Action::Restart { swap, detach, drain } => switch_over::restart(run, swap, detach, *drain).await,
        Action::AwaitHealthy { service, patience, completes } => {
            await_healthy::act(run, service, *patience, *completes).await
        }
        Action::RunHook { index, .. } => hook::act(run, step.id, *index).await,
        Action::SmokeCheck => {
            let (desired, manifest) = (&run.prepared.desired, &run.prepared.manifest);
            let mut containers = run.session.containers(run.project()).await?;
            containers.retain(|container| !run.prepared.retired_ids().contains(&container.id.as_str()));
            let cancel = &run.session.cancel;
            Ok(crate::smoke::check(cancel, &desired.services, &containers, manifest, &desired.version).await?)
        }
        Action::StopOld { swap } => stop_old::act(run, swap).await,
        Action::Settle { services, watch } => settle::act(run, services, *watch).await,
        Action::Record { generation } => record::act(run, *generation).await,
        Action::RemoveOld { swaps } => remove_old::act(run.session, swaps).await,
    }
}
