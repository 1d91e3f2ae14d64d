//! Which layers an engine has. It knows a layer by what it stands on: its chain id, computed from the ids of all contents up
//! to it (OCI image specification, "Layer ChainID").

use std::collections::HashSet;

use bollard::query_parameters::ListImagesOptions;
use futures_util::{StreamExt, TryStreamExt, stream};
use xr_host::Engine;
use xr_model::{Fault, Result};

use super::hashing::sha256;
use crate::local;

/// Questions that an engine is asked at once.
const AT_ONCE: usize = 8;

/// An image that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// The engine's id: the digest of the configuration, `sha256:…`.
    pub id: String,
    /// The digests of the layers' tars, bottom first.
    pub diffs: Vec<String>,
}

impl Content {
    /// Of an image on an engine's disk.
    pub async fn of(engine: &Engine, id: &str) -> Result<Self> {
        let found = local::inspect(engine.client(), id).await?;
        let found = found.ok_or_else(|| Fault::new(format!("image {id} has just gone from this host's engine")))?;
        let diffs = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
        Ok(Self { id: id.to_owned(), diffs })
    }

    /// How many layers, from the bottom, are among these.
    pub fn held(&self, chains: &HashSet<String>) -> usize {
        chain_ids(&self.diffs).take_while(|chain| chains.contains(chain)).count()
    }
}

/// The chain ids of an image's layers, bottom first.
pub(super) fn chain_ids(diffs: &[String]) -> impl Iterator<Item = String> {
    diffs.iter().scan(String::new(), |below, diff| {
        *below = if below.is_empty() { diff.clone() } else { sha256(format!("{below} {diff}").as_bytes()) };
        Some(below.clone())
    })
}

/// The chain ids of all layers that belong to an image of this engine's.
pub(super) async fn held(engine: &Engine) -> Result<HashSet<String>> {
    let docker = engine.client();
    let all = ListImagesOptions { all: true, ..Default::default() };
    let listed = docker.list_images(Some(all)).await.map_err(Fault::at("cannot list images"))?;
    let mut asked =
        stream::iter(listed).map(async |image| local::inspect(docker, &image.id).await).buffer_unordered(AT_ONCE);
    let mut chains = HashSet::new();
    // One that is removed meanwhile has no layers to build on.
    while let Some(found) = asked.try_next().await? {
        let diffs = found.and_then(|found| found.root_fs?.layers).unwrap_or_default();
        chains.extend(chain_ids(&diffs));
    }
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(diffs: &[&str]) -> Content {
        Content { id: String::new(), diffs: diffs.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_chain_id_is_the_digest_of_the_one_below_and_the_content() {
        let ids: Vec<String> = chain_ids(&content(&["sha256:aa", "sha256:bb"]).diffs).collect();
        assert_eq!(ids, ["sha256:aa", &sha256(b"sha256:aa sha256:bb")]);
    }

    #[test]
    fn a_layer_counts_only_upon_the_same_layers() {
        let theirs: HashSet<String> = chain_ids(&content(&["sha256:aa", "sha256:bb", "sha256:cc"]).diffs).collect();
        for (diffs, held) in [
            (&["sha256:aa", "sha256:bb", "sha256:dd"][..], 2),
            (&["sha256:aa", "sha256:dd", "sha256:cc"], 1),
            (&["sha256:bb", "sha256:cc"], 0),
            (&["sha256:aa", "sha256:bb"], 2),
            (&[], 0),
        ] {
            assert_eq!(content(diffs).held(&theirs), held, "{diffs:?}");
        }
    }
}
