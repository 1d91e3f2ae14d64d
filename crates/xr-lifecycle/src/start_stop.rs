//! Start, stop and restart of what is installed: the present generation, as it is.
//!
//! A start is planned and journalled like an update whose target is what serves already, so it needs neither a
//! registry nor a git remote. Settings that changed since are not its business: see [`settings_changed`].

use std::{fs, path::Path, time::Duration};

use futures_util::future;
use xr_compose::ownership;
use xr_journal::RunLock;
use xr_model::{Action, Container, Desired, Fault, Generation, Plan, Result, RunKind, Service, exit};
use xr_plan::{Origin, layers, plan, restart};
use xr_release::settings;
use xr_session::Session;

use crate::{
    prepare::{Prepared, checks},
    service_hooks,
};

/// What a stop did.
#[derive(Clone, Debug, Default)]
pub struct Stopped {
    /// Containers that ran, in the order they were stopped.
    pub stopped: Vec<String>,
}

/// The generation that serves.
pub(crate) fn installed(session: &Session<'_>) -> Result<Generation> {
    session
        .generations
        .current()?
        .ok_or_else(|| Fault::new(format!("nothing is installed in {}", session.root.display())).hint("xr install"))
}

/// Whether `.env` or a compose file differs from what the generation was made of, so that containers would have to be made anew.
///
/// A tree that stands at another version is not a changed setting: `xr update` is for that.
///
/// # Errors
/// When the recorded files cannot be read.
pub fn settings_changed(session: &Session<'_>, generation: &Generation) -> Result<bool> {
    let staged = xr_session::root_of(session, generation.number);
    let layout = &session.stack.layout;
    let version = fs::read_to_string(layout.version_path()).unwrap_or_default();
    if version.trim().parse().ok().as_ref() != Some(&generation.version) {
        return Ok(false);
    }
    let differ = |recorded: &Path, present: &Path| {
        let (recorded, present) = (fs::read(recorded), fs::read(present));
        matches!((recorded, present), (Ok(recorded), Ok(present)) if recorded != present)
    };
    let mut files = generation.invocation.files.iter();
    Ok(differ(&layout.env_in(&staged), &layout.env_path())
        || files.any(|file| differ(&staged.join(file), &session.root.join(file))))
}

/// Plans to bring up what the present generation says. The caller holds the lock and hands it over.
///
/// # Errors
/// When nothing is installed, or a port is taken.
pub async fn prepare_start(session: &Session<'_>, lock: RunLock) -> Result<Prepared> {
    let mut prepared = present(session, RunKind::Start).await?;
    prepared.plan = plan(&prepared.desired, &prepared.observed, &prepared.origin);
    prepared.check_plan()?;
    if !prepared.plan.is_empty() {
        checks::machine(session, &prepared).await?;
    }
    prepared.lock = Some(lock);
    Ok(prepared)
}

/// Plans to restart the containers with these ids, layer by layer, each layer healthy before the next.
///
/// # Errors
/// When nothing is installed.
pub async fn prepare_restart(session: &Session<'_>, ids: &[String], lock: RunLock) -> Result<Prepared> {
    let mut prepared = present(session, RunKind::Restart).await?;
    prepared.plan = restart(&prepared.desired, &prepared.observed, &prepared.origin, ids);
    prepared.check_plan()?;
    prepared.lock = Some(lock);
    Ok(prepared)
}

/// The present generation as something to plan for; the plan is still empty.
async fn present(session: &Session<'_>, kind: RunKind) -> Result<Prepared> {
    let mut generation = installed(session)?;
    generation.changes = Vec::new();
    let manifest = session.stack.manifest.clone();
    session.phase("observe");
    ownership::refuse_foreign(session, &generation.invocation.project, &generation.services).await?;
    let observed = session.observe(&generation.invocation.project, &generation.images).await?;
    let rule = |pick: fn(&xr_stack::ServiceRule) -> Option<Duration>| {
        manifest.services.iter().filter_map(|(name, rule)| Some((name.clone(), pick(rule)?))).collect()
    };
    let origin = Origin {
        kind,
        generation: Some(generation.number),
        version: Some(generation.version.clone()),
        drain: rule(|rule| rule.drain),
        patience: rule(|rule| rule.patience),
    };
    let desired = Desired {
        version: generation.version.clone(),
        generation: generation.number,
        commit: generation.commit.clone(),
        services: generation.services.clone(),
        left_out: Vec::new(),
        images: generation.images.clone(),
        previous_specs: generation.specs(),
        ended: generation.ended.clone(),
        files_change: false,
        hooks: Vec::new(),
        backups: Vec::new(),
        restores: Vec::new(),
        remade_networks: Vec::new(),
        settle: manifest.health.settle.unwrap_or(Duration::ZERO),
        smoke: generation.services.iter().any(Service::is_published),
        fleet: None,
    };
    Ok(Prepared {
        plan: Plan {
            kind,
            from: Some(generation.number),
            from_version: Some(generation.version.clone()),
            generation: generation.number,
            version: generation.version.clone(),
            kept: Vec::new(),
            stages: Vec::new(),
        },
        notes: Vec::new(),
        env: settings::EnvReport::default(),
        desired,
        generation,
        manifest,
        origin,
        observed,
        fleet: None,
        lock: None,
    })
}

/// The containers that a stop would stop, dependants first; of these services only, when any are named.
///
/// # Errors
/// A service that the stack does not have, or an engine that does not answer.
pub async fn stoppable(session: &Session<'_>, services: &[String]) -> Result<Vec<Vec<Container>>> {
    let project = ownership::project(session).await?;
    let generation = session.generations.current()?;
    let recorded = generation.map(|g| g.services).unwrap_or_default();
    let mut containers = session.containers(&project).await?;
    for name in services {
        if !containers.iter().any(|c| c.service == *name) && !recorded.iter().any(|s| s.name == *name) {
            let known: Vec<&str> = recorded.iter().map(|s| s.name.as_str()).collect();
            return Err(Fault::new(format!("there is no service `{name}` in {project}"))
                .hint(format!("services: {}", known.join(", ")))
                .code(exit::USAGE));
        }
    }
    containers.retain(|c| services.is_empty() || services.contains(&c.service));
    Ok(last_first(&recorded, containers))
}

/// Containers by layer, the outermost first; those of services the generation does not know come before all.
fn last_first(services: &[Service], containers: Vec<Container>) -> Vec<Vec<Container>> {
    let (known, unknown): (Vec<_>, Vec<_>) =
        containers.into_iter().partition(|c| services.iter().any(|service| service.name == c.service));
    let layers = layers(services);
    let layer =
        |layer: &Vec<&Service>| known.iter().filter(|c| layer.iter().any(|s| s.name == c.service)).cloned().collect();
    let ordered = std::iter::once(unknown).chain(layers.iter().rev().map(layer));
    ordered.filter(|layer: &Vec<Container>| !layer.is_empty()).collect()
}

/// Stops containers, one layer after the other, each with its own grace period; they are kept.
///
/// # Errors
/// When the engine cannot, or the run is cancelled between two layers.
pub async fn stop(session: &Session<'_>, layers: &[Vec<Container>]) -> Result<Stopped> {
    let mut done = Stopped::default();
    for layer in layers {
        if session.cancel.is_raised() {
            return Err(Fault::new("interrupted; the rest still runs")
                .hint("xr stop, or xr start")
                .code(exit::INTERRUPTED));
        }
        let up: Vec<&Container> = layer.iter().filter(|c| !rests(c)).collect();
        service_hooks::before_stop(session, up.iter().copied()).await?;
        let ends = future::join_all(up.iter().map(|container| session.engine.stop(&container.id, None))).await;
        ends.into_iter().collect::<Result<Vec<()>>>()?;
        for container in up {
            session.say(xr_model::Level::Info, format!("stopped {}", container.name));
            done.stopped.push(container.name.clone());
        }
    }
    Ok(done)
}

/// Whether there is nothing to stop.
fn rests(container: &Container) -> bool {
    use xr_model::ContainerState::{Created, Dead, Exited};
    matches!(container.state, Created | Exited(_) | Dead)
}

impl Prepared {
    /// Ids of the containers that the plan replaces or restarts.
    pub fn replaced(&self) -> Vec<String> {
        let swaps = self.plan.steps().flat_map(|step| match &step.action {
            Action::CreateContainers { swaps } | Action::RemoveOld { swaps } => swaps.clone(),
            Action::Restart { swap, .. } => vec![swap.clone()],
            _ => Vec::new(),
        });
        swaps.flat_map(|swap| swap.old).map(|old| old.id).collect()
    }

    /// Hands the lock on to the next part of the same command.
    pub fn into_lock(self) -> Option<RunLock> {
        self.lock
    }
}
