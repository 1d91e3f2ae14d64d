//! What nothing needs any more: generations and backups past their number, and the images only those had.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use xr_host::EngineContainer;
use xr_journal::{read_runs, run_order};
use xr_model::{Fault, Generation, Level, LocalImage, PinnedImage, Result};
use xr_session::Session;
use xr_stack::Keep;

use crate::{
    dumps::{Dump, HALF, SUM, sum_of},
    start_stop,
};

/// What can go.
#[derive(Clone, Debug, Default)]
pub struct Prunable {
    /// Generations, by number, with the version.
    pub generations: Vec<(u32, String)>,
    /// Backups and what broken-off backups left, with their bytes.
    pub backups: Vec<(PathBuf, u64)>,
    /// Copies of settings from before runs that ended long ago.
    pub runs: Vec<PathBuf>,
    /// Images.
    pub images: Vec<OldImage>,
    /// Image names that are left alone because another project on this engine uses them.
    pub shared: Vec<String>,
}

/// An image that nothing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldImage {
    /// The engine's id.
    pub id: String,
    /// Every name it has, tags and digests.
    pub names: Vec<String>,
    /// Its bytes, layers shared with other images included.
    pub size: u64,
}

impl Prunable {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.generations.is_empty() && self.backups.is_empty() && self.runs.is_empty() && self.images.is_empty()
    }

    /// Bytes that go: exact for files; for images the most it can be, as they may share layers with others.
    pub fn bytes(&self) -> (u64, u64) {
        (self.backups.iter().map(|(_, size)| size).sum(), self.images.iter().map(|image| image.size).sum())
    }
}

/// Finds what can go.
///
/// # Errors
/// When a record or the engine cannot be read.
pub async fn prunable(session: &Session<'_>) -> Result<Prunable> {
    past_policy(session, &session.stack.manifest.keep).await
}

async fn past_policy(session: &Session<'_>, keep: &Keep) -> Result<Prunable> {
    let current = start_stop::installed(session)?;
    let all = session.generations.all()?;
    let kept = kept(&all, &current, keep.generations);
    let (stay, go): (Vec<&Generation>, Vec<&Generation>) = all.iter().partition(|g| kept.contains(&g.number));
    let engine_containers = session.engine.all_containers().await?;
    let images = session.engine.all_images().await?;
    let (images, shared) = old_images(&stay, &go, &images, &engine_containers, &current.invocation.project);
    Ok(Prunable {
        generations: go.iter().map(|g| (g.number, g.version.to_string())).collect(),
        backups: old_backups(session, keep.backups, &kept)?,
        runs: old_runs(session, keep.generations)?,
        images,
        shared,
    })
}

/// The numbers of generations that stay: the present one, the one before it, and the newest up to `keep`.
fn kept(all: &[Generation], current: &Generation, keep: usize) -> BTreeSet<u32> {
    let mut kept: BTreeSet<u32> = std::iter::once(current.number).chain(current.parent).collect();
    kept.retain(|number| all.iter().any(|g| g.number == *number));
    for generation in all.iter().rev() {
        if kept.len() < keep {
            kept.insert(generation.number);
        }
    }
    kept
}

/// Images of this stack that no kept generation names and no container has, and names left to other projects.
fn old_images(
    stay: &[&Generation],
    go: &[&Generation],
    local: &[LocalImage],
    engine_containers: &[EngineContainer],
    project: &str,
) -> (Vec<OldImage>, Vec<String>) {
    let pinned = |generations: &[&Generation]| generations.iter().flat_map(|g| g.images.clone()).collect::<Vec<_>>();
    let (needed, former) = (pinned(stay), pinned(go));
    // Names that carry the release's version are this product's; of others only what was pinned here is.
    let own: BTreeSet<&str> =
        needed.iter().chain(&former).filter(|i| i.versioned).map(|i| i.reference.name()).collect();
    let others = names_of_others(&own, local, engine_containers, project);
    let (mut old, mut shared) = (Vec::new(), BTreeSet::new());
    for image in local {
        let used = engine_containers.iter().any(|engine_container| engine_container.image_id == image.id);
        let named = |tag: &String| needed.iter().any(|pinned| pinned.reference.as_str() == tag);
        if used || needed.iter().any(|pinned| image.holds(pinned)) || image.tags.iter().any(named) {
            continue;
        }
        let of_ours = names(image).next().is_some() && names(image).all(|name| own.contains(name_of(name)));
        if !of_ours && !former.iter().any(|pinned| image.holds(pinned)) {
            continue;
        }
        if let Some(name) = names(image).map(name_of).find(|name| others.contains(name)) {
            shared.insert(name.to_owned());
            continue;
        }
        old.push(OldImage { id: image.id.clone(), names: names(image).map(str::to_owned).collect(), size: image.size });
    }
    (old, shared.into_iter().collect())
}

/// Image names that other projects on this engine need. Where one of this product's names is among them, another stack
/// of the product runs here, and all of them are: some images (a worker's) are in no container, those to roll back to in none yet.
pub(crate) fn names_of_others<'a>(
    own: &BTreeSet<&'a str>,
    local: &'a [LocalImage],
    engine_containers: &'a [EngineContainer],
    project: &str,
) -> BTreeSet<&'a str> {
    let others: Vec<&EngineContainer> =
        engine_containers.iter().filter(|engine_container| engine_container.project != project).collect();
    let theirs =
        local.iter().filter(|image| others.iter().any(|engine_container| engine_container.image_id == image.id));
    let mut needed: BTreeSet<&str> = others.iter().map(|engine_container| name_of(&engine_container.image)).collect();
    needed.extend(theirs.flat_map(names).map(name_of));
    if own.iter().any(|name| needed.contains(name)) {
        needed.extend(own);
    }
    needed
}

/// Ids of recorded images that were built here and whose name a later build took: nobody else can mean them. What a
/// container of another project has stays.
pub(crate) fn untagged_builds(
    recorded: &[PinnedImage],
    local: &[LocalImage],
    engine_containers: &[EngineContainer],
    project: &str,
) -> Vec<String> {
    let built =
        |image: &LocalImage| recorded.iter().any(|pinned| pinned.digest.is_none() && pinned.image_id == image.id);
    let in_use = |image: &LocalImage| engine_containers.iter().any(|t| t.project != project && t.image_id == image.id);
    let nameless = local.iter().filter(|image| names(image).next().is_none() && built(image) && !in_use(image));
    nameless.map(|image| image.id.clone()).collect()
}

fn names(image: &LocalImage) -> impl Iterator<Item = &str> {
    image.tags.iter().chain(&image.repo_digests).map(String::as_str).filter(|name| !name.starts_with("<none>"))
}

pub(crate) fn name_of(reference: &str) -> &str {
    let bare = reference.split_once('@').map_or(reference, |(name, _)| name);
    match bare.rfind(':') {
        Some(colon) if !bare[colon..].contains('/') => &bare[..colon],
        _ => bare,
    }
}

/// Backups past the newest `keep` of each kind, but for those that a generation which stays needs for its data; halves of
/// broken-off ones, and digests without a dump. The caller holds the lock: nobody writes one now.
fn old_backups(session: &Session<'_>, keep: usize, stay: &BTreeSet<u32>) -> Result<Vec<(PathBuf, u64)>> {
    let folder = session.home.backups();
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries.filter_map(std::result::Result::ok) {
        let meta = entry.metadata().map_err(Fault::at(format!("cannot read {}", entry.path().display())))?;
        files.extend(meta.is_file().then(|| (entry.path(), meta.len())));
    }
    files.sort_by(|(one, _), (other, _)| order(one).cmp(&order(other)));
    Ok(past(files, keep, stay))
}

fn order(path: &Path) -> (Option<u64>, &str) {
    run_order(path.file_name().and_then(|name| name.to_str()).unwrap_or_default())
}

/// Of the files of `.xr/backups/`, the oldest first, those that can go.
fn past(files: Vec<(PathBuf, u64)>, keep: usize, stay: &BTreeSet<u32>) -> Vec<(PathBuf, u64)> {
    let dumps: Vec<Dump> = files.iter().filter_map(|(path, size)| Dump::of(path, *size)).collect();
    let kept = |at: usize, dump: &Dump| {
        let newer =
            || dumps[at + 1..].iter().filter(|other| (&other.backup, &other.service) == (&dump.backup, &dump.service));
        let newest_of_its_generation = !newer().any(|other| other.generation == dump.generation);
        newer().count() < keep || (newest_of_its_generation && stay.contains(&dump.generation))
    };
    let kept: BTreeSet<PathBuf> = dumps
        .iter()
        .enumerate()
        .filter(|(at, dump)| kept(*at, dump))
        .flat_map(|(_, dump)| [dump.path.clone(), sum_of(&dump.path)])
        .collect();
    let ours = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(HALF) || name.ends_with(SUM) || dumps.iter().any(|dump| dump.path == *path)
    };
    files.into_iter().filter(|(path, _)| ours(path) && !kept.contains(path)).collect()
}

/// Files from before runs that ended, but for the newest.
fn old_runs(session: &Session<'_>, keep: usize) -> Result<Vec<PathBuf>> {
    let ended: Vec<_> = read_runs(&session.home)?.into_iter().filter(|run| run.outcome.is_some()).collect();
    let old = ended.len().saturating_sub(keep);
    Ok(ended.into_iter().take(old).map(|run| session.home.run(&run.id)).filter(|dir| dir.is_dir()).collect())
}

/// Removes it. What cannot be removed is told and left; the bytes of what went are counted as in [`Prunable::bytes`].
///
/// # Errors
/// When a generation's folder or a file resists.
pub async fn prune(session: &Session<'_>, what: &Prunable) -> Result<(u64, u64)> {
    for (number, _) in &what.generations {
        // The record goes first: a generation whose files are half gone must not be there to go back to.
        let record = session.generations.dir(*number).join("generation.json");
        fs::remove_file(&record).map_err(Fault::at(format!("cannot remove {}", record.display())))?;
        session.generations.remove(*number)?;
    }
    let mut files = 0;
    for (path, size) in &what.backups {
        fs::remove_file(path).map_err(Fault::at(format!("cannot remove {}", path.display())))?;
        files += size;
    }
    for dir in &what.runs {
        fs::remove_dir_all(dir).map_err(Fault::at(format!("cannot remove {}", dir.display())))?;
    }
    let mut images = 0;
    for image in &what.images {
        // Name by name: an image with names in two repositories is not removed by its id.
        for name in &image.names {
            session.engine.remove_image(name).await?;
        }
        session.engine.remove_image(&image.id).await?;
        match session.engine.image(&image.id).await? {
            None => images += image.size,
            Some(_) => session.say(Level::Warning, format!("image {} is in use and stays", image.names.join(", "))),
        }
    }
    Ok((files, images))
}

/// After a version has come: when there are more generations than the policy keeps, removes those past it with what only they
/// had. Other images of the product stay: nobody was asked. What cannot be removed is told: the version serves all the same.
pub async fn prune_past(session: &Session<'_>, keep: &Keep) {
    let work = async {
        let all = session.generations.all()?;
        if all.len() <= keep.generations {
            return Ok(None);
        }
        let mut what = past_policy(session, keep).await?;
        if what.generations.is_empty() {
            return Ok(None);
        }
        let go = |generation: &&Generation| what.generations.iter().any(|(number, _)| *number == generation.number);
        // What came by no registry could not be had again.
        let former = all.iter().filter(go).flat_map(|generation| &generation.images);
        let former: Vec<&PinnedImage> = former.filter(|image| image.digest.is_some()).collect();
        let had = |image: &OldImage| {
            former
                .iter()
                .any(|pinned| pinned.image_id == image.id || image.names.contains(&pinned.reference.to_string()))
        };
        what.images.retain(had);
        prune(session, &what).await?;
        Ok::<_, Fault>(Some(what))
    };
    match work.await {
        Ok(None) => {}
        Ok(Some(what)) => {
            let gone: Vec<String> =
                what.generations.iter().map(|(number, name)| format!("{number} ({name})")).collect();
            let (backups, images) = (what.backups.len(), what.images.len());
            let text = format!(
                "removed generation {}, {images} images and {backups} files of backups: [keep] in xr.toml",
                gone.join(", ")
            );
            session.say(Level::Info, text);
        }
        Err(fault) => session
            .say(Level::Warning, format!("what is past [keep] stays, or some of it: {}; xr prune", fault.chain())),
    }
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
