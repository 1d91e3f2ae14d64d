//! Back to a recorded generation: nothing is resolved, nothing is fetched.

use std::time::Duration;

use xr_compose::{networks, ownership};
use xr_model::{Desired, Fault, Generation, Level, Result, RunKind, Service, Version};
use xr_release::{bundle_files::BundleFiles, files, settings::EnvReport};
use xr_session::Session;

use super::{Parts, Prepared, backups, data};

/// Where a rollback goes.
pub(super) struct Goal<'a> {
    /// This generation; none: the one before.
    pub generation: Option<u32>,
    /// The newest generation of this version.
    pub version: Option<&'a Version>,
    /// Whether the data that it had are put back too.
    pub restore_data: bool,
}

/// A rollback, ready to be planned.
pub(super) async fn rollback(session: &Session<'_>, goal: &Goal<'_>, no_backup: bool) -> Result<Prepared> {
    let current =
        session.generations.current()?.ok_or_else(|| Fault::new("nothing is installed here").hint("xr install"))?;
    let all = session.generations.all()?;
    let target = match (goal.generation, goal.version) {
        (Some(number), _) => session.generations.read(number)?,
        (None, Some(version)) => {
            all.iter().rev().find(|g| g.version == *version && g.number != current.number).cloned().ok_or_else(
                || {
                    let known: Vec<String> = all.iter().map(|g| format!("{} ({})", g.version, g.number)).collect();
                    Fault::new(format!("{version} was never applied here, or is what serves"))
                        .hint(format!("generations: {}", known.join(", ")))
                },
            )?
        }
        (None, None) => {
            let parent = current.parent.filter(|n| all.iter().any(|g| g.number == *n));
            let parent = parent.ok_or_else(|| {
                Fault::new(format!("there is nothing before generation {}", current.number)).hint("xr history")
            })?;
            session.generations.read(parent)?
        }
    };
    if let Some(checkout) = &session.checkout {
        checkout.refuse_local_changes(&session.stack.layout.managed())?;
        if let Some(commit) = target.commit.as_ref().filter(|commit| current.commit.as_ref() != Some(commit)) {
            checkout.refuse_switch(commit, &session.stack.layout.managed())?;
        }
    }
    session.phase("observe");
    let staged = xr_session::root_of(session, target.number);
    let stack = xr_stack::load(&staged)?;
    let (from, to) = (&session.stack.layout.env, &stack.layout.env);
    if files::has_moved(from, to) && session.root.join(to).exists() {
        let text = format!(
            "{to}, which stands there, becomes that of generation {}; {} keeps it",
            target.number,
            session.home.path().join("runs").display()
        );
        session.say(Level::Warning, text);
    }
    ownership::refuse_foreign(session, &target.invocation.project, &target.services).await?;
    let observed = session.observe(&target.invocation.project, &target.images).await?;
    let backups = if no_backup { Vec::new() } else { backups(&stack.manifest, &observed, session).await? };
    let restores = if goal.restore_data {
        data::restores(session, &stack.manifest, &observed, &target).await?
    } else {
        Vec::new()
    };
    let own = BundleFiles::of(session, target.number);
    if !own.not_kept.is_empty() {
        let names: Vec<String> = own.not_kept.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        let text = format!("generation {} did not keep, so they stay as they are: {}", target.number, names.join(", "));
        session.say(Level::Warning, text);
    }
    // A bundle that is unpacked again is asked for.
    let left = current.commit.as_ref().filter(|_| target.version < current.version).map(|_| current.version.clone());
    let remade_networks = networks::remade(session, Some(&current), &target.networks, &[]).await?;
    let desired = Desired {
        remade_networks,
        version: target.version.clone(),
        generation: target.number,
        commit: target.commit.clone(),
        services: target.services.clone(),
        left_out: Vec::new(),
        images: target.images.clone(),
        previous_specs: current.specs_of(&observed.containers, &target.services),
        ended: current.ended.clone(),
        files_change: target.number != current.number,
        hooks: Vec::new(),
        backups,
        restores,
        settle: stack.manifest.health.settle.unwrap_or(Duration::ZERO),
        smoke: target.services.iter().any(Service::is_published),
        fleet: None,
    };
    // What this run changes, not what the generation's own did.
    let changes = files::changes(Some(&current), &target, &EnvReport::default());
    let parts = Parts {
        kind: RunKind::Rollback,
        desired,
        generation: Generation { changes, ..target },
        manifest: stack.manifest,
        current: Some(current),
        observed,
    };
    let notes =
        Vec::from_iter(left.map(|left| {
            format!("{left} is not taken again by an update until it is asked for: xr update --to {left}")
        }));
    Ok(Prepared { notes, ..Prepared::unplanned(parts) })
}
