//! From a tag to a digest: the proof that an image exists in its registry.

use std::time::Duration;

use bollard::Docker;
use futures_util::{StreamExt, stream};
use xr_model::{Digest, ImageRef};

use crate::{
    Failure, PullError, Result, Retry, Sources, classify::classify, credentials::sending_logins, rounds::rounds,
    sources::Candidate,
};

/// Questions asked at once.
const AT_ONCE: usize = 8;
/// How long a source may think while another one stands behind it; the last one has all of `retry.patience`.
const IMPATIENT: Duration = Duration::from_secs(10);

/// The digest (of the index, where the image has several platforms) under which a registry holds `image` now.
///
/// The engine asks: `GET /distribution/{name}/json`. For images of Docker Hub it goes through the engine's own registry
/// mirrors. Engines before 25.0 ask the first of them that answers and nobody else
/// ([moby#47023](https://github.com/moby/moby/pull/47023)), although a pull would go on to Docker Hub: there
/// "missing" is only believed after Docker Hub itself was asked.
///
/// A question is asked twice at the most, but for a registry that limits the rate: that is waited for.
///
/// # Errors
/// That of the registry as written, with what the mirrors said.
pub async fn resolve_digest(docker: &Docker, image: &ImageRef, sources: &Sources, retry: &Retry) -> Result<Digest> {
    let candidates = sources.candidates(image);
    let impatient = IMPATIENT.min(retry.patience);
    let once_more = Retry { attempts: retry.attempts.min(2), first_delay: retry.first_delay / 2, ..retry.clone() };
    let answer = rounds(
        &candidates,
        &once_more,
        |_| {},
        async |candidate| {
            let patience = if candidates.last() == Some(candidate) { retry.patience } else { impatient };
            ask(docker, image, candidate, sources, patience).await
        },
    )
    .await;
    let missing = match answer {
        Err(missing @ PullError::Missing(_)) => missing,
        other => return other,
    };
    match Sources::hub_itself(image) {
        Some(hub) if asks_one_mirror_only(docker).await => match ask(docker, image, &hub, sources, impatient).await {
            Ok(digest) => Ok(digest),
            Err(error) => Err(missing.also(&format!("{}: {}", hub.registry, error.failure().detail))),
        },
        _ => Err(missing),
    }
}

/// [`resolve_digest`] for many images, eight at a time; the answers stand in the order of the questions.
pub async fn resolve_all(
    docker: &Docker,
    images: &[ImageRef],
    sources: &Sources,
    retry: &Retry,
) -> Vec<(ImageRef, Result<Digest>)> {
    stream::iter(images.to_vec())
        .map(async |image| {
            let digest = resolve_digest(docker, &image, sources, retry).await;
            (image, digest)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn ask(
    docker: &Docker,
    image: &ImageRef,
    candidate: &Candidate,
    sources: &Sources,
    patience: Duration,
) -> Result<Digest> {
    let failed = |transient, detail: &str| Failure {
        image: image.as_str().to_owned(),
        registry: candidate.registry.clone(),
        detail: detail.to_owned(),
        transient,
    };
    let name = candidate.reference(image.digest().as_ref());
    let (login, note) = match sources.credentials.of(&candidate.registry).await {
        Ok(login) => (login, None),
        Err(note) => (None, Some(note)),
    };
    let docker = sending_logins(docker);
    let answer = tokio::time::timeout(patience, docker.inspect_registry_image(&name, login)).await;
    match answer {
        Err(_) => Err(PullError::Unreachable(failed(
            false,
            &format!("timeout: no answer within {} s", patience.as_secs_f32()),
        ))),
        Ok(Err(error)) => {
            let error = classify(image.as_str(), &candidate.registry, &error);
            Err(match note {
                Some(note) if matches!(error, PullError::Denied(_)) => error.also(&note),
                _ => error,
            })
        }
        Ok(Ok(found)) => match found.descriptor.digest {
            Some(digest) if digest.starts_with("sha256:") => Ok(Digest(digest)),
            _ => Err(PullError::Engine(failed(false, "the answer holds no digest"))),
        },
    }
}

/// Whether this engine takes the word of its first registry mirror for Docker Hub's (before 25.0, API 1.44).
async fn asks_one_mirror_only(docker: &Docker) -> bool {
    let (Ok(info), Ok(version)) = tokio::join!(docker.info(), docker.version()) else { return false };
    let mirrors = info.registry_config.and_then(|config| config.mirrors).unwrap_or_default();
    let api =
        version.api_version.and_then(|api| api.split_once('.').map(|(_, minor)| minor.parse::<u32>().unwrap_or(0)));
    !mirrors.is_empty() && api.is_some_and(|minor| minor < 44)
}
