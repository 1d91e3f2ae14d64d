//! Pulling: find it, else fetch it from the first source that can, check it, name it where the name is free.

use std::time::Duration;

use bollard::{Docker, query_parameters::RemoveImageOptions};
use futures_util::{StreamExt, stream::FuturesUnordered};
use xr_model::{Digest, PinnedImage};

use crate::{
    Failure, LayerProgress, LayerStatus, PullError, Result, Retry, Sources, local, rounds::rounds, sources::Candidate,
    stream::stream, watch::Patience,
};

/// Images pulled at once; the engine fetches three layers of each at once by itself.
const AT_ONCE: usize = 4;
/// How long images before a failed one may go on, so that of several failures the first in order is reported.
const GRACE: Duration = Duration::from_secs(1);
/// How long a source has for its first word while another one stands behind it.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// An image on the disk, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The engine's id.
    pub image_id: String,
    /// The registry's digest; none for an image that was built here.
    pub digest: Option<Digest>,
    /// The repository it came from, as the engine was asked for it; `disk` when nothing was fetched.
    pub from: String,
    /// Compressed bytes of the layers that were fetched.
    pub bytes: u64,
}

/// Brings one image onto the disk by its digest (by its tag only when no digest is known). Its reference comes to mean it
/// unless it means another image: what runs may have been made from that, and [`crate::tag`] is for when that is to go.
///
/// An image that is on the disk under this digest is only tagged. What came from one of our mirrors keeps its
/// `mirror/name@digest` beside the tag: it is the engine's only record of the digest.
///
/// # Errors
/// That of the registry as written, with what the mirrors said; all transient ones only after `retry.attempts` rounds, a limit
/// on the rate of downloads only after `retry.patience`.
pub async fn pull(
    docker: &Docker,
    image: &PinnedImage,
    sources: &Sources,
    retry: &Retry,
    on: &dyn Fn(LayerProgress),
) -> Result<Pulled> {
    let written = image.reference.as_str();
    let work = async {
        if let Some(image_id) = local::find(docker, image).await? {
            local::name_where_free(docker, &image_id, &image.reference).await?;
            return Ok(Pulled { image_id, digest: image.digest.clone(), from: "disk".to_owned(), bytes: 0 });
        }
        let candidates = sources.candidates(&image.reference);
        let again = |candidate: &Candidate| {
            on(LayerProgress {
                layer: candidate.registry.clone(),
                status: LayerStatus::Retrying,
                current: 0,
                total: 0,
            });
        };
        let pulled = rounds(&candidates, retry, again, async |candidate| {
            let last = candidates.last() == Some(candidate);
            let patience = Patience {
                first: if last { retry.patience } else { retry.patience.min(FIRST_WORD) },
                stall: retry.patience,
            };
            fetch(docker, candidate, image.digest.as_ref(), sources, patience, on).await
        })
        .await?;
        local::name_where_free(docker, &pulled.image_id, &image.reference).await?;
        if image.digest.is_none() && pulled.from != image.reference.name() {
            let mirrors_tag = format!("{}:{}", pulled.from, image.reference.tag().unwrap_or("latest"));
            // Only a second name; failing to remove it harms nothing.
            let _ = docker.remove_image(&mirrors_tag, None::<RemoveImageOptions>, None).await;
        }
        Ok(pulled)
    };
    match work.await {
        Ok(pulled) => Ok(pulled),
        Err(PullError::NoSpace { failure, root }) => {
            Err(PullError::NoSpace { failure, root: data_root(docker).await.unwrap_or(root) }.about(written))
        }
        Err(error) => Err(error.about(written)),
    }
}

/// One try from one source.
async fn fetch(
    docker: &Docker,
    candidate: &Candidate,
    digest: Option<&Digest>,
    sources: &Sources,
    patience: Patience,
    on: &dyn Fn(LayerProgress),
) -> Result<Pulled> {
    let bytes = stream(docker, candidate, digest, sources, patience, on).await?;
    let from = candidate.name.clone();
    if let Some(digest) = digest {
        let image_id = local::verify(docker, &candidate.name, &candidate.registry, digest).await?;
        return Ok(Pulled { image_id, digest: Some(digest.clone()), from, bytes });
    }
    let name = candidate.reference(None);
    let found = local::inspect(docker, &name).await?;
    let known = found.as_ref().and_then(|found| found.repo_digests.as_deref()).unwrap_or_default();
    let digest =
        known.iter().filter_map(|known| known.split_once('@')).find(|(repository, _)| repository.ends_with(&from));
    let digest = digest.map(|(_, digest)| Digest(digest.to_owned()));
    let image_id = found.as_ref().and_then(|found| found.id.clone()).ok_or_else(|| {
        PullError::Engine(Failure {
            image: name,
            registry: candidate.registry.clone(),
            detail: "pulled, and not on the disk".to_owned(),
            transient: true,
        })
    })?;
    Ok(Pulled { image_id, digest, from, bytes })
}

async fn data_root(docker: &Docker) -> Option<String> {
    docker.info().await.ok()?.docker_root_dir
}

/// Brings all images onto the disk, four at a time, and reports progress with the index of the image. The first failure
/// gives up the rest; when several fail together, the error is that of the first in the list.
///
/// # Errors
/// As [`pull`].
pub async fn pull_all(
    docker: &Docker,
    images: &[PinnedImage],
    sources: &Sources,
    retry: &Retry,
    on: &dyn Fn(usize, LayerProgress),
) -> Result<Vec<Pulled>> {
    let one = async |index: usize| {
        (index, pull(docker, &images[index], sources, retry, &|progress| on(index, progress)).await)
    };
    let mut done: Vec<Option<Pulled>> = vec![None; images.len()];
    let mut waiting = 0..images.len();
    let mut running = FuturesUnordered::new();
    running.extend(waiting.by_ref().take(AT_ONCE).map(&one));
    while let Some((index, result)) = running.next().await {
        match result {
            Ok(pulled) => done[index] = Some(pulled),
            Err(error) => {
                let mut first = (index, error);
                let earlier = async {
                    while let Some((index, result)) = running.next().await {
                        if let Err(error) = result
                            && index < first.0
                        {
                            first = (index, error);
                        }
                    }
                };
                let _ = tokio::time::timeout(GRACE, earlier).await;
                return Err(first.1);
            }
        }
        running.extend(waiting.next().map(&one));
    }
    Ok(done.into_iter().flatten().collect())
}
