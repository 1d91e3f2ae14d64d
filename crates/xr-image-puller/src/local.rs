//! Images on the engine's disk: finding them by digest, checking and naming them.

use bollard::{
    Docker,
    errors::Error,
    models::ImageInspect,
    query_parameters::{ListImagesOptions, TagImageOptionsBuilder},
};
use xr_model::{Digest, ImageRef, PinnedImage};

use crate::{Failure, PullError, Result, classify::classify};

/// Makes `reference` mean the local image `image` (an id or a name), also when it meant another one before. A reference
/// by digest needs no tag.
///
/// # Errors
/// The engine does not answer, or has no such image.
pub async fn tag(docker: &Docker, image: &str, reference: &ImageRef) -> Result<()> {
    let Some(name) = tagged(reference) else { return Ok(()) };
    if let (Some(now), Some(wanted)) = (inspect(docker, &name).await?, inspect(docker, image).await?)
        && now.id.is_some()
        && now.id == wanted.id
    {
        return Ok(());
    }
    let options =
        TagImageOptionsBuilder::default().repo(reference.name()).tag(reference.tag().unwrap_or("latest")).build();
    docker
        .tag_image(image, Some(options))
        .await
        .map_err(|error| classify(reference.as_str(), "the engine's disk", &error))
}

/// `name:tag` of a reference, none when it is by digest: the engine goes by that, whatever tag stands before it.
fn tagged(reference: &ImageRef) -> Option<String> {
    let tag = reference.tag().unwrap_or("latest");
    reference.digest().is_none().then(|| format!("{}:{tag}", reference.name()))
}

/// A local image, none when there is no such.
pub(crate) async fn inspect(docker: &Docker, image: &str) -> Result<Option<ImageInspect>> {
    match docker.inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(classify(image, "the engine's disk", &error)),
    }
}

/// The id of the local image that holds the pinned content, under whatever name it came.
pub(crate) async fn find(docker: &Docker, image: &PinnedImage) -> Result<Option<String>> {
    let mut names = Vec::new();
    match &image.digest {
        Some(digest) => names.push(image.reference.pinned(digest)),
        None => names.extend(tagged(&image.reference).filter(|_| image.image_id.is_empty())),
    }
    names.extend(Some(image.image_id.clone()).filter(|id| !id.is_empty()));
    for name in names {
        if let Some(id) = inspect(docker, &name).await?.and_then(|found| found.id) {
            return Ok(Some(id));
        }
    }
    let Some(digest) = &image.digest else { return Ok(None) };
    let all = docker
        .list_images(Some(ListImagesOptions { all: true, ..Default::default() }))
        .await
        .map_err(|error| classify(image.reference.as_str(), "the engine's disk", &error))?;
    Ok(all.into_iter().find(|known| carries(&known.repo_digests, digest)).map(|known| known.id))
}

/// The id of `name@digest`, once the engine knows it by that digest.
pub(crate) async fn verify(docker: &Docker, name: &str, registry: &str, digest: &Digest) -> Result<String> {
    let pinned = format!("{name}@{digest}");
    let found = inspect(docker, &pinned).await?;
    let known = found.as_ref().and_then(|found| found.repo_digests.as_deref()).unwrap_or_default();
    match &found {
        Some(ImageInspect { id: Some(id), .. }) if carries(known, digest) => Ok(id.clone()),
        _ => Err(PullError::DigestMismatch(Failure {
            image: pinned,
            registry: registry.to_owned(),
            detail: format!("the engine knows it as [{}]", known.join(", ")),
            transient: false,
        })),
    }
}

/// Names the image as the compose file does, unless that name leads to another one.
pub(crate) async fn name_where_free(docker: &Docker, id: &str, reference: &ImageRef) -> Result<()> {
    if let Some(name) = tagged(reference)
        && inspect(docker, &name).await?.is_some_and(|found| found.id.as_deref() != Some(id))
    {
        return Ok(());
    }
    name(docker, id, reference).await
}

/// Names the image as the compose file does, and checks that this name now leads to it.
async fn name(docker: &Docker, id: &str, reference: &ImageRef) -> Result<()> {
    tag(docker, id, reference).await?;
    let written = tagged(reference).unwrap_or_else(|| reference.as_str().to_owned());
    if inspect(docker, &written).await?.and_then(|found| found.id).as_deref() == Some(id) {
        return Ok(());
    }
    Err(PullError::Engine(Failure {
        image: reference.as_str().to_owned(),
        registry: "the engine's disk".to_owned(),
        detail: format!(
            "{id} is here from elsewhere, and a name by digest comes only from its own registry: name the image by a tag, \
             or its mirror in the engine's daemon.json (registry-mirrors)"
        ),
        transient: false,
    }))
}

fn carries(repo_digests: &[String], digest: &Digest) -> bool {
    repo_digests.iter().any(|known| known.split_once('@').is_some_and(|(_, known)| known == digest.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_written_out_and_what_is_named_by_digest_has_none() {
        let cases = [
            ("postgres", Some("postgres:latest")),
            ("127.0.0.1:5000/a:v1", Some("127.0.0.1:5000/a:v1")),
            ("a:v1@sha256:00", None),
            ("a@sha256:00", None),
        ];
        for (text, expected) in cases {
            assert_eq!(tagged(&ImageRef::new(text)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_whole_digest_counts() {
        let digest = Digest("sha256:ab".into());
        assert!(carries(&["a/b@sha256:ab".into()], &digest));
        assert!(!carries(&["a/b@sha256:abc".into(), "sha256:ab".into()], &digest));
    }
}
