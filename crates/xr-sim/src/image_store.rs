//! The images on the engine's disk, what they are called there, and the registry that they come from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    engine::{Done, Refused},
    images::Image,
};

/// What the engine has of a registry's images.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageStore {
    registry: Vec<Image>,
    /// Ids on the disk.
    disk: BTreeSet<String>,
    /// References that mean something, and what.
    tags: BTreeMap<String, String>,
    /// `name@digest` that were pulled.
    digests: BTreeSet<String>,
}

impl ImageStore {
    /// Nothing on the disk, beside a registry with these images.
    pub(crate) fn before(registry: Vec<Image>) -> Self {
        Self { registry, ..Self::default() }
    }

    /// The image on the disk that a reference, `name@digest` or id means.
    ///
    /// # Errors
    /// 404 when it means none.
    pub(crate) fn local(&self, reference: &str) -> Result<Image, Refused> {
        self.meant(reference).cloned().ok_or_else(|| (404, format!("No such image: {reference}")))
    }

    fn meant(&self, reference: &str) -> Option<&Image> {
        let id = if reference.starts_with("sha256:") {
            reference.to_owned()
        } else if let Some((_, digest)) = reference.split_once('@') {
            self.digests.contains(reference).then(|| digest.to_owned())?
        } else {
            self.tags.get(&tagged(reference)).cloned()?
        };
        self.registry.iter().find(|image| self.disk.contains(&id) && image.digest() == id)
    }

    /// What the engine says of one on its disk.
    ///
    /// # Errors
    /// As [`ImageStore::local`].
    pub(crate) fn inspect(&self, reference: &str) -> Result<Value, Refused> {
        Ok(self.describe(&self.local(reference)?, json!("2024-01-01T00:00:00Z")))
    }

    fn describe(&self, image: &Image, created: Value) -> Value {
        let id = image.digest();
        let tags: Vec<&String> = self.tags.iter().filter(|(_, means)| **means == id).map(|(tag, _)| tag).collect();
        let digests: Vec<&String> = self.digests.iter().filter(|known| known.ends_with(&id)).collect();
        json!({"Id": id, "RepoTags": tags, "RepoDigests": digests, "Size": 1000, "Created": created, "ParentId": "", "SharedSize": 0,
               "Labels": {}, "Containers": 0, "Architecture": "amd64", "Os": "linux"})
    }

    /// What the engine's list says of all on its disk.
    pub(crate) fn list(&self) -> Value {
        self.registry
            .iter()
            .filter(|image| self.disk.contains(&image.digest()))
            .map(|image| self.describe(image, json!(0)))
            .collect()
    }

    /// The registry's image of that name and tag or digest.
    ///
    /// # Errors
    /// 404 when it has none.
    pub(crate) fn in_registry(&self, reference: &str) -> Result<&Image, Refused> {
        let (name, wanted) = match reference.split_once('@') {
            Some((name, digest)) => (name.split(':').next().unwrap_or(name), digest.to_owned()),
            None => (reference, String::new()),
        };
        let fits = |image: &&Image| {
            if wanted.is_empty() {
                image.reference == tagged(name)
            } else {
                image.name() == name && image.digest() == wanted
            }
        };
        self.registry.iter().find(fits).ok_or_else(|| (404, format!("manifest unknown: {reference}")))
    }

    /// Brings an image from the registry to the disk.
    ///
    /// # Errors
    /// As [`ImageStore::in_registry`].
    pub(crate) fn pull(&mut self, name: &str, tag: &str) -> Done {
        let by_digest = tag.starts_with("sha256:");
        let reference = if by_digest { format!("{name}@{tag}") } else { format!("{name}:{tag}") };
        let image = self.in_registry(&reference)?.clone();
        self.disk.insert(image.digest());
        self.digests.insert(format!("{name}@{}", image.digest()));
        if !by_digest {
            self.tags.insert(format!("{name}:{}", image.tag()), image.digest());
        }
        Ok(())
    }

    /// Gives an image one more name.
    ///
    /// # Errors
    /// As [`ImageStore::local`].
    pub(crate) fn tag(&mut self, source: &str, repository: &str, tag: &str) -> Done {
        let image = self.local(source)?;
        self.tags.insert(format!("{repository}:{tag}"), image.digest());
        Ok(())
    }

    /// Takes a name away from an image, and from the disk one that has none left; by its id all at once, unless it is
    /// `in_use`.
    ///
    /// # Errors
    /// 404 when there is none, 409 when it is in use.
    pub(crate) fn remove(&mut self, reference: &str, in_use: impl Fn(&str) -> bool) -> Done {
        let id = self.local(reference)?.digest();
        if self.tags.remove(&tagged(reference)).is_none() && !self.digests.remove(reference) {
            if in_use(&id) {
                return Err((409, "image is being used".to_owned()));
            }
            self.tags.retain(|_, means| *means != id);
            self.digests.retain(|known| !known.ends_with(&id));
        }
        if !self.tags.values().any(|means| *means == id) && !self.digests.iter().any(|known| known.ends_with(&id)) {
            self.disk.remove(&id);
        }
        Ok(())
    }
}

/// A reference with its tag.
fn tagged(reference: &str) -> String {
    let after_slash = reference.rsplit('/').next().unwrap_or(reference);
    if after_slash.contains(':') { reference.to_owned() } else { format!("{reference}:latest") }
}
