//! Everything before the switch: from a request to a plan that can be shown.

mod backward;
pub(crate) mod checks;
mod data;
mod forward;
mod release;
mod request;

use std::time::Duration;

use xr_journal::RunLock;
use xr_model::{
    Container, Desired, DesiredBackup, Fault, Generation, ImageRef, Level, Observed, Plan, Result, RunKind, Verified,
    Version, exit, is_database,
};
use xr_plan::{Origin, lint, plan};
use xr_release::settings::EnvReport;
use xr_session::Session;
use xr_stack::Manifest;
use xr_workers::{Target, taking_part};

use crate::backup_sources;

pub use request::{Request, Wanted};

/// A run that is ready to be shown and applied. It holds the lock.
pub struct Prepared {
    /// What will be done; empty when nothing is to do.
    pub plan: Plan,
    /// What the admin should know.
    pub notes: Vec<String>,
    /// What happens to `.env`, in keys.
    pub env: EnvReport,
    pub(crate) desired: Desired,
    pub(crate) generation: Generation,
    pub(crate) manifest: Manifest,
    pub(crate) origin: Origin,
    pub(crate) observed: Observed,
    /// What the workers shall have; none when there are none.
    pub(crate) fleet: Option<Target>,
    pub(crate) lock: Option<RunLock>,
}

/// What a run is made of before it is planned.
struct Parts {
    kind: RunKind,
    desired: Desired,
    generation: Generation,
    manifest: Manifest,
    /// What serves now.
    current: Option<Generation>,
    observed: Observed,
}

/// Resolves, stages, observes and plans. Touches nothing that runs and nothing in the tree. The caller holds the lock
/// and hands it over.
///
/// # Errors
/// Whatever makes the request impossible; nothing has changed then.
pub async fn prepare(session: &Session<'_>, request: &Request, lock: RunLock) -> Result<Prepared> {
    // Nothing has begun yet that would have to be taken back.
    let prepared = tokio::select! {
        prepared = ready(session, request) => prepared,
        () = session.cancel.raised() => Err(Fault::new("interrupted before anything was changed").code(exit::INTERRUPTED)),
    };
    match prepared {
        Ok(mut prepared) => {
            prepared.lock = Some(lock);
            Ok(prepared)
        }
        Err(fault) => {
            // The refusal is what matters; what was staged is swept by the next run if not now.
            let _ = session.generations.discard_unrecorded();
            Err(session.without_secrets(fault))
        }
    }
}

async fn ready(session: &Session<'_>, request: &Request) -> Result<Prepared> {
    let mut prepared = match &request.wanted {
        Wanted::Rollback { generation, to, restore_data } => {
            let goal = backward::Goal { generation: *generation, version: to.as_ref(), restore_data: *restore_data };
            backward::rollback(session, &goal, request.no_backup).await?
        }
        _ => forward::forward(session, request).await?,
    };
    prepared.plan = plan(&prepared.desired, &prepared.observed, &prepared.origin);
    if !prepared.plan.is_empty() && !session.site.workers.is_empty() {
        take_workers_along(session, &mut prepared, request.dry_run).await?;
    }
    prepared.check_plan()?;
    if prepared.plan.is_empty() {
        session.generations.discard(prepared.generation.number)?;
    } else {
        if !request.no_backup {
            tell_unsaved(session, &prepared);
        }
        checks::machine(session, &prepared).await?;
    }
    Ok(prepared)
}

/// What changes the control host changes the workers with it.
async fn take_workers_along(session: &Session<'_>, prepared: &mut Prepared, dry_run: bool) -> Result<()> {
    let target = Target::of(session, &prepared.generation).await?;
    if target.rule.agent.is_none() && target.images.is_empty() {
        return Ok(());
    }
    prepared.observed.fleet = match taking_part(session, &target).await {
        Err(fault) if dry_run => {
            session.say(Level::Warning, fault.chain());
            Vec::new()
        }
        present => present?,
    };
    prepared.desired.fleet = Some(target.desired(session));
    prepared.plan = plan(&prepared.desired, &prepared.observed, &prepared.origin);
    prepared.fleet = Some(target);
    Ok(())
}

async fn backups(manifest: &Manifest, observed: &Observed, session: &Session<'_>) -> Result<Vec<DesiredBackup>> {
    let mut chosen: Vec<DesiredBackup> = Vec::new();
    for (index, backup) in manifest.backups.iter().enumerate() {
        for source in backup_sources::sources(session, backup, &observed.containers).await? {
            chosen.push(DesiredBackup { index, name: backup.name.clone(), service: source.service });
        }
    }
    Ok(chosen)
}

/// Tells of databases whose data are not saved before the switch.
fn tell_unsaved(session: &Session<'_>, prepared: &Prepared) {
    let saved = |service: &str| prepared.desired.backups.iter().any(|backup| backup.service == service);
    let is_database = |container: &&Container| {
        let image = ImageRef::new(container.image.clone());
        container.is_running() && image.name().rsplit('/').next().is_some_and(is_database)
    };
    let mut unsaved: Vec<&str> =
        prepared.observed.containers.iter().filter(is_database).map(|c| c.service.as_str()).collect();
    unsaved.retain(|service| !saved(service));
    unsaved.dedup();
    if !unsaved.is_empty() {
        let text = format!(
            "no backup is taken of {}: a rollback leaves its data as the new version has made them ([[backups]] in xr.toml says how to take one)",
            unsaved.join(", ")
        );
        session.say(Level::Info, text);
    }
}

fn origin(kind: RunKind, current: Option<&Generation>, manifest: &Manifest) -> Origin {
    let rule = |pick: fn(&xr_stack::ServiceRule) -> Option<Duration>| {
        manifest.services.iter().filter_map(|(name, rule)| Some((name.clone(), pick(rule)?))).collect()
    };
    Origin {
        kind,
        generation: current.map(|g| g.number),
        version: current.map(|g| g.version.clone()),
        drain: rule(|rule| rule.drain),
        patience: rule(|rule| rule.patience),
    }
}

impl Prepared {
    /// A plan that breaks a rule is not executed.
    ///
    /// # Errors
    /// Names the rules: the fault is xr's own.
    pub(crate) fn check_plan(&self) -> Result<()> {
        let broken = lint(&self.plan, &self.desired);
        if broken.is_empty() {
            return Ok(());
        }
        Err(Fault::new(format!("the plan breaks its own rules: {}", broken.join("; "))).hint("please report this"))
    }

    /// Not planned yet.
    fn unplanned(parts: Parts) -> Self {
        let Parts { kind, desired, generation, manifest, current, observed } = parts;
        let plan = Plan {
            kind,
            from: None,
            from_version: None,
            generation: desired.generation,
            version: desired.version.clone(),
            kept: Vec::new(),
            stages: Vec::new(),
        };
        let origin = origin(kind, current.as_ref(), &manifest);
        let (notes, env) = (Vec::new(), EnvReport::default());
        Self { plan, notes, env, desired, generation, manifest, origin, observed, fleet: None, lock: None }
    }

    /// Leaves nothing of what was staged; for a plan that is not applied, or that ended before it touched anything.
    pub fn abandon(&self, session: &Session<'_>) {
        // What cannot be removed now is swept by the next run.
        let _ = session.generations.discard(self.generation.number);
    }

    /// Tells what is worth knowing before anything else; not a word of it is urgent.
    pub fn tell_notes(&self, session: &Session<'_>) {
        for note in &self.notes {
            session.say(Level::Info, note.clone());
        }
    }

    /// Tells which secrets of the file that this run made or extended the admin has yet to give. Empty ones may be meant
    /// so, hence nothing is made up for them; not a word about them would be taken for "all is set".
    pub fn tell_open_secrets(&self, session: &Session<'_>) {
        let new = |key: &&String| self.origin.generation.is_none() || self.env.added.contains(key);
        let env = &session.stack.layout.env;
        for (what, keys) in [("empty or still a placeholder", &self.env.placeholders), ("empty", &self.env.empty)] {
            let keys: Vec<&str> = keys.iter().filter(new).map(String::as_str).collect();
            if let Some(first) = keys.first() {
                let text = format!("{what} in {env}: {}", keys.join(", "));
                let hint = format!("where a secret belongs: xr env set {first} --stdin, then xr restart");
                session.say(Level::Warning, format!("{text} ({hint})"));
            }
        }
    }

    /// How much of the past stays once this version has come, as its own manifest says.
    pub fn keep(&self) -> &xr_stack::Keep {
        &self.manifest.keep
    }

    /// What will change, a line each.
    pub fn changes(&self) -> &[String] {
        &self.generation.changes
    }

    /// The signatures that were checked.
    pub fn verified(&self) -> &[Verified] {
        &self.generation.verified
    }

    /// Data that will be lost, a line each.
    pub fn lost(&self) -> Vec<String> {
        let line = |restore: &xr_model::Restore| {
            format!("what was written to {} since {} ({})", restore.service, restore.taken_at, restore.dump)
        };
        self.desired.restores.iter().map(line).collect()
    }

    /// The version that serves now.
    pub fn from(&self) -> Option<&Version> {
        self.plan.from_version.as_ref()
    }
}
