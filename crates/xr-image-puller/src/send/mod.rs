//! Images sent to other hosts without a registry: of each only the layers that the host lacks, through its SSH connection.

mod carry;
mod chain;
mod export;
mod hashing;
mod parcel;
mod store;
mod tar_split;

use std::{
    collections::HashMap,
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::OnceCell;
use xr_host::{Engine, Remote};
use xr_model::{Fault, ImageRef, PinnedImage, Result};

use self::{
    carry::{Carried, carry},
    chain::Content,
    parcel::Parcel,
    store::Store,
};
use crate::local;

/// What happens to an image on its way to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendProgress {
    /// The layers that the host lacks are being packed; hosts that lack the same layers share a parcel.
    Packing,
    /// Bytes are on their way.
    Sending {
        /// Bytes of the parcel that are there, with those that an earlier, interrupted sending has left.
        done: u64,
        /// Bytes of the parcel.
        total: u64,
    },
    /// All bytes are there; the host checks them and its engine takes them in.
    Loading,
}

/// An image that is on the other host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The other engine's id of it: the same as here, unless it keeps images in containerd's store.
    pub image_id: String,
    /// How many layers travelled; none when it was there.
    pub layers: usize,
    /// Bytes of parcels that travelled now.
    pub bytes: u64,
}

/// Sends images of this host's engine. One for all images and hosts of a run, and alone in its folder.
#[derive(Debug)]
pub struct Sender {
    engine: Engine,
    folder: PathBuf,
    patience: Duration,
    store: OnceCell<Option<Store>>,
    parcels: Mutex<HashMap<Key, Slot>>,
}

/// A parcel is known by its image and the number of the first layer in it.
type Key = (String, usize);
type Slot = Arc<OnceCell<Parcel>>;

impl Sender {
    /// A sender of the images of `engine`, the control host's. Parcels lie in `folder`, for this user's eyes only, until it is
    /// dropped. A host that takes nothing for `patience` is given up.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(engine: Engine, folder: PathBuf, patience: Duration) -> Result<Self> {
        let failed = || Fault::at(format!("cannot make {}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed())?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed())?;
        sweep(&folder);
        Ok(Self { engine, folder, patience, store: OnceCell::new(), parcels: Mutex::default() })
    }

    /// Brings `image`, which is on this host's disk, to the host `to` with the engine `theirs`, and has its reference mean it
    /// there. Several may be sent at once, to several hosts. What is there costs nothing. A sending that breaks off is gone on
    /// with by the next one of the same image.
    ///
    /// # Errors
    /// When the image is not here, the connection breaks or stalls, the other disk is full, or its engine refuses the image.
    pub async fn send(
        &self,
        image: &PinnedImage,
        to: &Remote,
        theirs: &Engine,
        on: &(dyn Fn(SendProgress) + Sync),
    ) -> Result<Sent> {
        let here = local::find(self.engine.client(), image).await?.ok_or_else(|| {
            Fault::new(format!("image {} is not on this host, to be sent to {}", image.reference, to.destination()))
                .hint(format!("docker pull {}", image.reference))
        })?;
        let wanted = PinnedImage { image_id: here.clone(), ..image.clone() };
        if let Some(there) = local::find(theirs.client(), &wanted).await? {
            return arrived(theirs, &there, &image.reference, 0, 0).await;
        }
        let content = Content::of(&self.engine, &here).await?;
        let mut from = content.held(&chain::held(theirs).await?);
        let mut bytes = 0;
        loop {
            on(SendProgress::Packing);
            let slot = self.slot(&content, from);
            let parcel = slot.get_or_try_init(|| self.pack(&content, from)).await?;
            match carry(parcel, to, self.patience, on).await? {
                Carried::Loaded { bytes: now, id } => {
                    let id = self.check(&content, id, to, theirs).await?;
                    return arrived(theirs, &id, &image.reference, parcel.layers, bytes + now).await;
                }
                // An engine that wants all layers, whatever it has, or that has just lost some.
                Carried::Refused { bytes: now, .. } if from > 0 => (from, bytes) = (0, bytes + now),
                Carried::Refused { because, .. } => {
                    let host = to.destination();
                    return Err(Fault::new(format!("{host} refuses image {}: {because}", image.reference))
                        .hint(format!("ssh {host} docker info")));
                }
            }
        }
    }

    fn slot(&self, content: &Content, from: usize) -> Slot {
        let mut parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
        parcels.entry((content.id.clone(), from)).or_default().clone()
    }

    async fn pack(&self, content: &Content, from: usize) -> Result<Parcel> {
        let path = self.folder.join(format!("{}-{from}.parcel", hashing::bare(&content.id)));
        if let Some(store) = self.store.get_or_init(|| Store::of(&self.engine)).await.clone() {
            let (of, at) = (content.clone(), path.clone());
            let packed = tokio::task::spawn_blocking(move || store.pack(&of, from, &at));
            match packed.await.map_err(Fault::at("a packer's thread died"))? {
                Ok(parcel) => return Ok(parcel),
                Err(error) => tracing::debug!(image = content.id, %error, "not read from the engine's store"),
            }
        }
        export::pack(&self.engine, content, from, &path)
            .await
            .map_err(|fault| fault.hint(format!("df -h {}", self.folder.display())))
    }

    /// The other engine's id of what it has loaded. One that names images otherwise has the same layers in it.
    async fn check(&self, content: &Content, named: Option<String>, to: &Remote, theirs: &Engine) -> Result<String> {
        let names = [Some(content.id.clone()), named];
        for name in names.into_iter().flatten() {
            let found = local::inspect(theirs.client(), &name).await?;
            if found.and_then(|found| found.root_fs?.layers).is_some_and(|layers| layers == content.diffs) {
                return Ok(name);
            }
        }
        let host = to.destination();
        Err(Fault::new(format!("{host} has loaded {} and does not have it", content.id))
            .hint(format!("ssh {host} docker images --no-trunc")))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        sweep(&self.folder);
        // A folder that is used for other things too stays.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Names the image on the other host.
async fn arrived(theirs: &Engine, id: &str, reference: &ImageRef, layers: usize, bytes: u64) -> Result<Sent> {
    local::tag(theirs.client(), id, reference).await?;
    Ok(Sent { image_id: id.to_owned(), layers, bytes })
}

/// Removes parcels, also those of a sender that was killed.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "parcel")) {
        // One that cannot be removed harms nobody.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(dead_code, reason = "that it compiles is the promise")]
    fn sendings_may_run_in_tasks_of_their_own(sender: &Sender, image: &PinnedImage, to: &Remote, theirs: &Engine) {
        fn task(_: impl Future + Send) {}
        task(sender.send(image, to, theirs, &|_| ()));
    }

    #[test]
    fn parcels_that_a_killed_sender_has_left_go() {
        let root = tempfile::tempdir().unwrap();
        let (left, other) = (root.path().join("ab-1.parcel"), root.path().join("notes"));
        for path in [&left, &other] {
            fs::File::create(path).unwrap();
        }
        sweep(root.path());
        assert!(!left.exists() && other.exists());
    }
}
