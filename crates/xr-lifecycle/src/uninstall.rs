//! Taking the stack off this host: only what carries its project's label, only as far as was asked for.

use std::{collections::BTreeSet, fs, path::PathBuf};

use futures_util::future;
use xr_compose::{ownership, volumes};
use xr_env_writer::secret_values;
use xr_host::EngineContainer;
use xr_journal::{Journal, read_runs, unfinished};
use xr_model::{Container, Fault, Level, MountKind, Outcome, PinnedImage, Record, Result, Verdict};
use xr_release::files;
use xr_session::{Session, now};

use crate::{prune, start_stop};

/// How much goes besides containers and networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Volumes: the data.
    pub volumes: bool,
    /// Images of recorded generations that nobody else uses.
    pub images: bool,
    /// `.env` and everything xr remembers.
    pub records: bool,
}

/// What belongs to the stack on this host.
#[derive(Clone, Debug, Default)]
pub struct Belongings {
    /// The compose project.
    pub project: String,
    /// Containers by layer, dependants first.
    pub containers: Vec<Vec<Container>>,
    /// Containers that `docker compose run` left.
    pub one_off: Vec<EngineContainer>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes that are this stack's for sure, those without a name of their own after the others.
    pub volumes: Vec<String>,
    /// Volumes of the project's name that nothing shows to be this stack's; they are never removed.
    pub other_volumes: Vec<String>,
    /// References of images of recorded generations whose names no other project needs.
    pub images: Vec<String>,
    /// `.xr/`, `.env`, and a VERSION that xr made.
    pub records: Vec<PathBuf>,
    /// Folders and files of the host that containers write, and those that xr made for the product; they are never removed.
    pub places: Vec<PathBuf>,
}

/// Finds what belongs to the stack.
///
/// # Errors
/// When the engine does not answer, or nothing tells the project's name.
pub async fn belongings(session: &Session<'_>) -> Result<Belongings> {
    let project = ownership::project(session).await?;
    let mut engine_containers = session.engine.all_containers().await?;
    let folder = session.stack.layout.directory_path();
    // A foreign project of the same name is somebody else. Networks tell no folder, and may be its own.
    let mut shared = false;
    for engine_container in engine_containers
        .iter_mut()
        .filter(|engine_container| xr_session::is_foreign(&engine_container.folder, &session.root, &folder))
    {
        shared |= engine_container.project == project;
        engine_container.project.clear();
    }
    let (networks, volumes) =
        future::join(session.engine.networks(&project), volumes::of_stack(session, &project, &engine_containers)).await;
    let (mut networks, volumes) = (networks?, volumes?);
    networks.sort();
    if shared && !networks.is_empty() {
        let text = format!("another stack of the name {project} is on this host: {} stay", networks.join(", "));
        session.say(Level::Warning, text);
        networks.clear();
    }
    let layout = &session.stack.layout;
    let mut records = vec![session.home.path().to_owned(), layout.env_path()];
    if made_version(session)? {
        records.push(layout.version_path());
    }
    records.retain(|path| path.exists());
    let containers = start_stop::stoppable(session, &[]).await?;
    let places = places(session, &containers.concat(), &records);
    let mut own_volumes = volumes.ours;
    own_volumes.extend(volumes::unnamed(&containers.concat(), &engine_containers, &project));
    Ok(Belongings {
        containers,
        one_off: engine_containers
            .iter()
            .filter(|engine_container| engine_container.project == project && engine_container.one_off)
            .cloned()
            .collect(),
        networks,
        volumes: own_volumes,
        other_volumes: volumes.others,
        images: images(session, &engine_containers, &project).await?,
        records,
        places,
        project,
    })
}

/// What the containers write on the host, and what the manifest has xr make there, as far as it exists. The stack's own folder
/// and those above it are nobody's to tell of, nor is a socket.
fn places(session: &Session<'_>, containers: &[Container], records: &[PathBuf]) -> Vec<PathBuf> {
    let mounts = containers.iter().flat_map(|container| &container.mounts);
    let written = mounts.filter(|mount| mount.kind == MountKind::Bind && mount.holds_data());
    let written = written.map(|mount| PathBuf::from(&mount.source));
    let manifest = &session.stack.manifest;
    let made = manifest.folders.iter().map(|folder| folder.path.replace("{name}", &session.stack.name));
    let made = made.chain(manifest.certificate.iter().map(|certificate| certificate.directory.clone()));
    let all: BTreeSet<PathBuf> = written.chain(made.map(|path| session.root.join(path))).collect();
    let told = |path: &PathBuf| !session.root.starts_with(path) && !records.contains(path);
    all.into_iter().filter(told).filter(|path| path.is_dir() || path.is_file()).collect()
}

/// Whether VERSION is xr's own: there was none before the first run, git knows of none, and it says what xr wrote.
fn made_version(session: &Session<'_>) -> Result<bool> {
    let layout = &session.stack.layout;
    let released = match &session.checkout {
        Some(checkout) => checkout.read(&checkout.head()?.commit, &layout.version)?.is_some(),
        None => false,
    };
    let runs = read_runs(&session.home)?;
    // Runs of which nothing is kept tell nothing.
    let was_there = runs.first().map(|run| files::had_version(session, &run.id)).transpose()?.flatten();
    let says = fs::read_to_string(layout.version_path()).unwrap_or_default();
    let ours = session.generations.all()?.iter().any(|generation| generation.version.as_str() == says.trim());
    Ok(!released && was_there == Some(false) && ours)
}

async fn images(session: &Session<'_>, engine_containers: &[EngineContainer], project: &str) -> Result<Vec<String>> {
    let recorded: Vec<PinnedImage> =
        session.generations.all()?.into_iter().flat_map(|generation| generation.images).collect();
    let own = recorded.iter().filter(|image| image.versioned).map(|image| image.reference.name()).collect();
    let local = session.engine.all_images().await?;
    let needed = prune::names_of_others(&own, &local, engine_containers, project);
    let mut names = BTreeSet::new();
    for image in recorded.iter().filter(|image| !needed.contains(image.reference.name())) {
        names.insert(image.reference.as_str().to_owned());
        names.extend(image.digest.as_ref().map(|digest| image.reference.pinned(digest)));
    }
    let mut ours = Vec::new();
    for name in names {
        if session.engine.image(&name).await?.is_some() {
            ours.push(name);
        }
    }
    ours.extend(prune::untagged_builds(&recorded, &local, engine_containers, project));
    Ok(ours)
}

/// Removes it, as far as `extent` says, and gives back what went. Everything is ensure-shaped: run again, it goes on
/// where it broke off.
///
/// # Errors
/// What resists is named; what came before it is gone.
pub async fn uninstall(session: &Session<'_>, what: &Belongings, extent: Extent) -> Result<Belongings> {
    let mut gone = what.clone();
    end_unfinished(session)?;
    start_stop::stop(session, &what.containers).await?;
    let ids: Vec<&str> = what
        .containers
        .iter()
        .flatten()
        .map(|c| c.id.as_str())
        .chain(what.one_off.iter().map(|t| t.id.as_str()))
        .collect();
    // Volumes without a name are data too: they go with the others, which were shown.
    let ends = future::join_all(ids.iter().map(|id| session.engine.remove(id, false))).await;
    ends.into_iter().collect::<Result<Vec<()>>>()?;
    for network in &what.networks {
        if let Err(fault) = session.engine.remove_network(network).await {
            // Somebody else's container hangs on it; that container is not ours to touch.
            session.say(Level::Warning, format!("{}; it stays", fault.chain()));
            gone.networks.retain(|name| name != network);
        }
    }
    if extent.volumes {
        for volume in &what.volumes {
            session.engine.remove_volume(volume).await?;
        }
        forget_current(session)?;
    }
    if extent.images {
        for image in &what.images {
            if !session.engine.remove_image(image).await? {
                gone.images.retain(|name| name != image);
            }
        }
    }
    if extent.records {
        let left = [what.other_volumes.as_slice(), if extent.volumes { &[] } else { &what.volumes }].concat();
        let env = session.stack.layout.env_path();
        // What these data were made with may stand in it: without it nobody opens them again.
        if !left.is_empty() && gone.records.contains(&env) && has_secrets(session) {
            session.say(Level::Warning, format!("{} stays: its passwords open {}", env.display(), left.join(", ")));
            gone.records.retain(|path| *path != env);
        }
        for path in &gone.records {
            remove(path)?;
        }
    }
    Ok(gone)
}

/// Whether `.env` holds a secret; one that cannot be read may.
fn has_secrets(session: &Session<'_>) -> bool {
    match xr_session::parse_env(&session.stack.layout.env_path()) {
        Ok(env) => env.is_some_and(|env| !secret_values(&env, &session.stack.manifest.secret_keys()).is_empty()),
        Err(_) => true,
    }
}

/// A run that was killed will not be finished any more; nobody shall bring its containers back.
fn end_unfinished(session: &Session<'_>) -> Result<()> {
    let Some(past) = unfinished(&session.home)? else { return Ok(()) };
    let outcome = Outcome {
        verdict: Verdict::Failed,
        command: past.plan.kind,
        from: past.plan.from_version.clone(),
        to: Some(past.plan.version.clone()),
        serving: None,
        generation: None,
        changes: Vec::new(),
        elapsed_ms: 0,
        cause: Some("the run was killed, then the stack was uninstalled".to_owned()),
        service: None,
        log: Vec::new(),
        hint: None,
        undo: None,
        problems: Vec::new(),
        try_later: false,
    };
    Journal::open(&session.home, &past.id)?.append(&Record::RunEnded { at: now(), outcome })?;
    Ok(())
}

/// Without its data the stack is as if never installed: the next install is a first one, with its first-run hooks.
fn forget_current(session: &Session<'_>) -> Result<()> {
    remove(&session.home.path().join("current"))
}

fn remove(path: &std::path::Path) -> Result<()> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Fault::new(format!("cannot remove {}", path.display())).because(error))
        }
        _ => Ok(()),
    }
}
