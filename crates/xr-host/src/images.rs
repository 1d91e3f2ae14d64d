//! Images on the engine's disk.

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::future;
use xr_model::{Fault, ImageRef, LocalImage, PinnedImage, Result};

use crate::engine::{Engine, is_status};

impl Engine {
    /// An image by reference or id; `None` when it is not on the disk.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image(&self, reference: &str) -> Result<Option<LocalImage>> {
        match self.docker.inspect_image(reference).await {
            Ok(found) => Ok(Some(LocalImage {
                id: found.id.unwrap_or_default(),
                tags: found.repo_tags.unwrap_or_default(),
                repo_digests: found.repo_digests.unwrap_or_default(),
                size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            })),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(Fault::new(format!("cannot inspect image {reference}")).because(error)),
        }
    }

    /// The local image that holds the pinned content: by the engine's id, by `name@digest`, by the tag, or under another
    /// name (pulled through a mirror).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn find(&self, pinned: &PinnedImage) -> Result<Option<LocalImage>> {
        let by_digest = pinned.digest.as_ref().map(|digest| pinned.reference.pinned(digest));
        let names =
            [Some(pinned.image_id.clone()).filter(|id| !id.is_empty()), by_digest, Some(pinned.reference.to_string())];
        for name in names.into_iter().flatten() {
            if let Some(image) = self.image(&name).await?.filter(|image| image.holds(pinned)) {
                return Ok(Some(image));
            }
        }
        Ok(self.all_images().await?.into_iter().find(|image| image.holds(pinned)))
    }

    /// Those of these references and ids that are on the disk, asked all at once.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn images<'a>(&self, references: impl IntoIterator<Item = &'a str>) -> Result<Vec<LocalImage>> {
        let found = future::join_all(references.into_iter().map(|reference| self.image(reference))).await;
        let mut images: Vec<LocalImage> =
            found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        images.sort_by(|a, b| a.id.cmp(&b.id));
        images.dedup_by(|a, b| a.id == b.id);
        Ok(images)
    }

    /// Every image on the disk.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn all_images(&self) -> Result<Vec<LocalImage>> {
        let options = ListImagesOptionsBuilder::new().digests(true).build();
        let listed = self.docker.list_images(Some(options)).await.map_err(Fault::at("cannot list images"))?;
        Ok(listed
            .into_iter()
            .map(|image| LocalImage {
                id: image.id,
                tags: image.repo_tags,
                repo_digests: image.repo_digests,
                size: u64::try_from(image.size).unwrap_or(0),
            })
            .collect())
    }

    /// Makes `reference` mean the image `source` (an id or a pinned name).
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn tag(&self, source: &str, reference: &ImageRef) -> Result<()> {
        if reference.digest().is_some() {
            return Ok(()); // a pinned reference needs no tag
        }
        let options =
            TagImageOptionsBuilder::new().repo(reference.name()).tag(reference.tag().unwrap_or("latest")).build();
        self.docker
            .tag_image(source, Some(options))
            .await
            .map_err(Fault::at(format!("cannot tag {source} as {reference}")))
    }

    /// Removes an image by reference or id; gone already or still used by a container is fine. Whether it went.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn remove_image(&self, reference: &str) -> Result<bool> {
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        match self.docker.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(true),
            Err(error) if is_status(&error, 404) || is_status(&error, 409) => Ok(false),
            Err(error) => Err(Fault::new(format!("cannot remove image {reference}")).because(error)),
        }
    }
}
