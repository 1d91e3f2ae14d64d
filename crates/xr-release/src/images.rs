//! The images of a release, each pinned to a digest before anything moves.

use xr_env_writer::EnvFile;
use xr_image_puller::{PullError, resolve_all};
use xr_model::{
    Fault, Generation, ImageRef, ImageSource, Level, LocalImage, Mode, PinnedImage, Result, Service, Version, exit,
};
use xr_session::Session;
use xr_stack::Manifest;

/// What decides how images are pinned.
pub struct Pinning<'a> {
    /// The release.
    pub version: &'a Version,
    /// How it shall run.
    pub mode: Mode,
    /// The generation that serves now.
    pub current: Option<&'a Generation>,
    /// A tag that floats by the admin's choice: what it means is asked for again with each version.
    pub floating: Option<&'a str>,
    /// Whether tags that stayed the same are asked for again.
    pub refresh: bool,
    /// Whether content that differs from what this version was before is taken.
    pub accept_repushed: bool,
    /// The services of the release.
    pub services: &'a [Service],
}

/// Every image reference of a release: the services' and those the product starts itself.
pub fn wanted(
    services: &[Service],
    manifest: &Manifest,
    env: &EnvFile,
    mode: Mode,
    floating: Option<&str>,
) -> Vec<PinnedImage> {
    // One that floats names no version's content.
    let tag = env.get(&manifest.version.key).map(|value| value.text);
    let versions = |tag: &String| floating != Some(tag.as_str()) && tag.parse::<Version>().is_ok();
    let tag = tag.filter(versions).unwrap_or_default();
    let mut wanted: Vec<PinnedImage> = Vec::new();
    let mut add = |reference: ImageRef, service: Option<&str>| {
        let service = service.map(str::to_owned);
        match wanted.iter_mut().find(|image| image.reference == reference) {
            Some(image) => image.services.extend(service),
            None => wanted.push(PinnedImage {
                versioned: !tag.is_empty() && reference.tag().is_some_and(|t| t.contains(&tag)),
                reference,
                digest: None,
                image_id: String::new(),
                services: service.into_iter().collect(),
            }),
        }
    };
    for service in services {
        add(service.image.clone(), Some(&service.name));
    }
    if mode == Mode::Production {
        for dependent in &manifest.images {
            let replaced =
                dependent.override_key.as_ref().and_then(|key| env.get(key)).map(|v| v.text).filter(|v| !v.is_empty());
            let derived = || {
                let base = services.iter().find(|s| s.name == dependent.from_service)?;
                derive(&base.image, &dependent.replace, &dependent.with)
            };
            if let Some(reference) = replaced.map(ImageRef::new).or_else(derived) {
                add(reference, None);
            }
        }
    }
    wanted
}

/// `acme/orbit-server:v1` → `acme/orbit-worker:v1`: only the last component of the name changes.
fn derive(image: &ImageRef, replace: &str, with: &str) -> Option<ImageRef> {
    let (folder, last) = match image.name().rsplit_once('/') {
        Some((folder, last)) => (format!("{folder}/"), last),
        None => (String::new(), image.name()),
    };
    let derived = last.contains(replace).then(|| format!("{folder}{}", last.replacen(replace, with, 1)))?;
    Some(ImageRef::new(image.tag().map_or(derived.clone(), |tag| format!("{derived}:{tag}"))))
}

/// Why images could not be pinned.
pub enum Unpinned {
    /// The registries answer, and do not have them all.
    Missing(Fault),
    /// Something else.
    Otherwise(Fault),
}

impl From<Fault> for Unpinned {
    fn from(fault: Fault) -> Self {
        Self::Otherwise(fault)
    }
}

impl From<Unpinned> for Fault {
    fn from(unpinned: Unpinned) -> Self {
        match unpinned {
            Unpinned::Missing(fault) | Unpinned::Otherwise(fault) => fault,
        }
    }
}

/// Pins every image: what the present generation already pinned stays; everything else is asked for in its registry.
///
/// # Errors
/// Names every image that is not there, and any that changed under its version. `build` makes those of these services here
/// and tells whether it did; after a dry run they have no id.
pub async fn pin(
    session: &Session<'_>,
    mut images: Vec<PinnedImage>,
    how: &Pinning<'_>,
    build: &dyn Fn(&[String]) -> Result<bool>,
) -> std::result::Result<Vec<PinnedImage>, Unpinned> {
    let users = |image: &PinnedImage| -> Vec<&Service> {
        how.services.iter().filter(|service| image.services.contains(&service.name)).collect()
    };
    let builds = |image: &PinnedImage| users(image).iter().any(|service| service.builds);
    let comes_from =
        |image: &PinnedImage, source: ImageSource| users(image).iter().any(|service| service.image_source == source);
    let mut ask: Vec<ImageRef> = Vec::new();
    let mut to_build: Vec<String> = Vec::new();
    for image in &mut images {
        if let Some(digest) = image.reference.digest() {
            image.digest = Some(digest);
            continue;
        }
        if how.mode == Mode::Production && comes_from(image, ImageSource::Build) {
            to_build.extend(users(image).iter().filter(|service| service.builds).map(|service| service.name.clone()));
            continue;
        }
        if how.mode == Mode::Production && comes_from(image, ImageSource::Host) {
            let local = session.engine.image(image.reference.as_str()).await?;
            image.image_id = local.ok_or_else(|| is_not_here(image))?.id;
            continue;
        }
        if how.mode == Mode::Dev {
            if let Some(local) = session.engine.image(image.reference.as_str()).await? {
                image.image_id = local.id;
                continue;
            }
            ask.push(image.reference.clone());
            continue;
        }
        let moves = how.floating.is_some_and(|tag| image.reference.tag() == Some(tag))
            && how.current.is_some_and(|current| current.version != *how.version);
        let before = how.current.and_then(|g| g.images.iter().find(|old| old.reference == image.reference));
        // What was built here is built again: its name does not say what is in it.
        match before.filter(|old| !how.refresh && !moves && (old.digest.is_some() || !builds(image))) {
            Some(old) => {
                image.digest = old.digest.clone();
                image.image_id.clone_from(&old.image_id);
            }
            None => ask.push(image.reference.clone()),
        }
    }
    let sources = session.sources()?;
    let mut missing: Vec<PullError> = Vec::new();
    for (reference, answer) in resolve_all(session.engine.client(), &ask, sources, &session.retry()).await {
        for image in images.iter_mut().filter(|image| image.reference == reference) {
            match &answer {
                Ok(digest) => image.digest = Some(digest.clone()),
                Err(_) if builds(image) => to_build.extend(image.services.iter().cloned()),
                Err(_) => {}
            }
        }
        if let Err(error) = answer
            && !images.iter().any(|image| image.reference == reference && builds(image))
        {
            // Built or loaded here and in no registry: what is on the disk is what there is.
            let local = session.engine.image(reference.as_str()).await?;
            match local.filter(came_from_nowhere) {
                Some(local) => {
                    if !local.repo_digests.is_empty() {
                        let text = format!("{}; the image on this host is taken", error.into_fault().chain());
                        session.say(Level::Warning, text);
                    }
                    let image = images.iter_mut().filter(|image| image.reference == reference);
                    image.for_each(|image| image.image_id.clone_from(&local.id));
                }
                None => missing.push(error),
            }
        }
    }
    refuse_missing(missing, how)?;
    refuse_repushed(session, &images, how)?;
    if !to_build.is_empty() && build(&to_build)? {
        for image in images.iter_mut().filter(|image| image.services.iter().any(|s| to_build.contains(s))) {
            if let Some(local) = session.engine.image(image.reference.as_str()).await? {
                image.image_id = local.id;
            }
        }
    }
    Ok(images)
}

/// Whether nothing tells of a registry that a local image came from. In containerd's store each has a digest, which is its id
/// also where it was built or loaded here.
fn came_from_nowhere(local: &LocalImage) -> bool {
    local.repo_digests.iter().all(|known| known.ends_with(&local.id))
}

fn is_not_here(image: &PinnedImage) -> Fault {
    let reference = &image.reference;
    Fault::new(format!(
        "image {reference} of {} is not on this host, and is not to be pulled (`pull_policy: never`)",
        image.services.join(", ")
    ))
    .hint(format!("docker load, or docker tag IMAGE {reference}"))
}

fn refuse_missing(missing: Vec<PullError>, how: &Pinning<'_>) -> std::result::Result<(), Unpinned> {
    let names: Vec<String> = missing.iter().skip(1).map(|error| error.failure().image.clone()).collect();
    // What does not answer now may answer later; what answers and has no such image will not.
    let silent = missing.iter().all(|error| matches!(error, PullError::Unreachable(_) | PullError::RateLimited(_)));
    let code = if silent { exit::TRY_LATER } else { exit::FAILED };
    let Some(first) = missing.into_iter().next().map(PullError::into_fault) else { return Ok(()) };
    let others = if names.is_empty() { String::new() } else { format!("; nor can {}", names.join(", ")) };
    let message = format!("{} cannot be had: {}{others}", how.version, first.chain());
    let fault = Fault { code, message, hint: first.hint, source: None };
    Err(if silent { Unpinned::Otherwise(fault) } else { Unpinned::Missing(fault) })
}

/// A version's images do not change. When one did, the tag was re-pushed.
fn refuse_repushed(session: &Session<'_>, images: &[PinnedImage], how: &Pinning<'_>) -> Result<()> {
    if how.accept_repushed {
        return Ok(());
    }
    for generation in session.generations.all()?.iter().rev() {
        for (old, new) in generation
            .images
            .iter()
            .filter_map(|old| Some((old, images.iter().find(|n| n.reference == old.reference)?)))
        {
            if let (true, Some(was), Some(is)) = (old.versioned, &old.digest, &new.digest)
                && was != is
            {
                return Err(Fault::new(format!(
                    "{} was re-pushed: generation {} ran {}, the registry now has {}",
                    new.reference,
                    generation.number,
                    was.short(),
                    is.short()
                ))
                .hint(format!(
                    "ask the publisher; to take it all the same: xr update --to {} --accept-repushed",
                    how.version
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_whose_only_digest_is_its_own_id_may_have_been_built_here() {
        let local = |digests: &[&str]| LocalImage {
            id: "sha256:aa".to_owned(),
            tags: Vec::new(),
            repo_digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
            size: 1,
        };
        assert!(came_from_nowhere(&local(&[])) && came_from_nowhere(&local(&["acme/app@sha256:aa"])));
        assert!(!came_from_nowhere(&local(&["acme/app@sha256:bb"])));
    }

    #[test]
    fn a_workers_image_is_derived_from_the_servers_last_name() {
        let derived = |image: &str| derive(&ImageRef::new(image), "server", "worker").map(|r| r.to_string());
        assert_eq!(derived("acme/orbit-server:v1").as_deref(), Some("acme/orbit-worker:v1"));
        assert_eq!(
            derived("server.example:5000/orbit-server:v1").as_deref(),
            Some("server.example:5000/orbit-worker:v1")
        );
        assert_eq!(derived("server/web:v1"), None);
    }
}
