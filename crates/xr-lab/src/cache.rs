//! What costs minutes to make, kept on this machine for all labs: unpacked engines, and the built images as a registry
//! stores them. An image is known by its recipe's digest; one that is absent or wrong is made anew.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use duct::cmd;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Layout;
use crate::base::hex;
use crate::shell::{run, step};

/// Below a registry's storage folder.
const STORE: &str = "docker/registry/v2";
/// Under what the lab's own images are published; tests publish theirs under other names.
const OWNERS: [&str; 4] = ["library", "orbit-base", "xr-lab", "acme"];

/// `XR_LAB_CACHE`, or `xr-lab` in the user's cache folder.
pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(own) = std::env::var_os("XR_LAB_CACHE") {
        return Ok(own.into());
    }
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    Ok(caches.or_else(home).context("neither HOME nor XDG_CACHE_HOME is set")?.join("xr-lab"))
}

/// Gives a lab that has no images yet what is kept. Kept bytes that are not what their name says are thrown away with all
/// others.
pub(crate) fn seed(layout: &Layout) -> Result<()> {
    let (kept, storage) = (folder()?.join("images"), layout.join("registry"));
    if storage.exists() || !kept.exists() {
        return Ok(());
    }
    let _lock = lock()?;
    step("take images from the cache", || {
        let taken = copy_verified(&kept, &storage, &layout.join("built"));
        if let Err(error) = taken {
            #[allow(clippy::print_stderr, reason = "the lab is a developer's tool without a renderer")]
            {
                eprintln!("lab: the cache is damaged, images are built anew: {error:#}");
            }
            for damaged in [&kept, &storage, &layout.join("built")] {
                std::fs::remove_dir_all(damaged).or_else(absent)?;
            }
            std::fs::create_dir_all(layout.join("built"))?;
        }
        Ok(())
    })
}

fn copy_verified(kept: &Path, storage: &Path, built: &Path) -> Result<()> {
    for blob in blobs(&kept.join("registry"))? {
        let digest = blob.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(hash_file(&blob.join("data"))? == digest, "{} is not what its name says", blob.display());
    }
    std::fs::create_dir_all(storage)?;
    run("copy images", cmd!("cp", "-a", "--reflink=auto", kept.join("registry").join("."), storage))?;
    run("copy markers", cmd!("cp", "-a", kept.join("built").join("."), built)).map(drop)
}

/// Keeps the images that this lab has built, and nothing else, when they are not those that are kept already.
pub(crate) fn keep(layout: &Layout) -> Result<()> {
    let mut markers = markers(&layout.join("built"))?;
    // an older lab has told of images that its registry never had
    markers.retain(|(_, text)| digests(text).all(|digest| blob(&layout.join("registry"), digest).exists()));
    let kept = folder()?.join("images");
    std::fs::create_dir_all(folder()?)?;
    let _lock = lock()?;
    let known = self::markers(&kept.join("built")).unwrap_or_default();
    if markers.is_subset(&known) {
        return Ok(());
    }
    step("put images into the cache", || {
        let place = tempfile::Builder::new().prefix(".images-").tempdir_in(folder()?)?;
        let (new, from) = (place.path().join("images"), layout.join("registry"));
        std::fs::create_dir_all(new.join("built"))?;
        for (name, text) in &markers {
            std::fs::write(new.join("built").join(name), text)?;
        }
        for repository in repositories(&from)? {
            let into = new.join("registry").join(STORE).join("repositories").join(&repository);
            std::fs::create_dir_all(&into)?;
            for part in ["_manifests", "_layers"] {
                let part = from.join(STORE).join("repositories").join(&repository).join(part);
                run("copy a repository", cmd!("cp", "-a", part, &into))?;
            }
        }
        for digest in markers.iter().flat_map(|(_, text)| digests(text)) {
            keep_image(&from, &new.join("registry"), digest)?;
        }
        std::fs::remove_dir_all(&kept).or_else(absent)?;
        std::fs::rename(&new, &kept).context("cannot put the images into their place")
    })
}

/// Copies a manifest and all that it names.
fn keep_image(from: &Path, to: &Path, digest: &str) -> Result<()> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(blob(from, digest).join("data"))?)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let named = layers.chain([&manifest["config"]]).filter_map(|part| part["digest"].as_str());
    for digest in named.chain([digest]) {
        let (source, target) = (blob(from, digest), blob(to, digest));
        if !target.exists() {
            std::fs::create_dir_all(&target)?;
            std::fs::copy(source.join("data"), target.join("data"))
                .with_context(|| format!("the registry lacks {digest}"))?;
        }
    }
    Ok(())
}

fn hash_file(path: &Path) -> Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}

/// The folder of a blob.
fn blob(storage: &Path, digest: &str) -> PathBuf {
    let hash = digest.trim_start_matches("sha256:");
    storage.join(STORE).join("blobs/sha256").join(hash.get(..2).unwrap_or_default()).join(hash)
}

fn blobs(storage: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for shelf in std::fs::read_dir(storage.join(STORE).join("blobs/sha256"))? {
        found.extend(std::fs::read_dir(shelf?.path())?.flatten().map(|entry| entry.path()));
    }
    Ok(found)
}

/// `library/postgres`, …: those of the lab's own images.
fn repositories(storage: &Path) -> Result<Vec<PathBuf>> {
    let top = storage.join(STORE).join("repositories");
    let mut found = Vec::new();
    for owner in OWNERS {
        let Ok(names) = std::fs::read_dir(top.join(owner)) else { continue };
        let names = names.flatten();
        found.extend(names.filter_map(|entry| entry.path().strip_prefix(&top).map(Path::to_owned).ok()));
    }
    Ok(found)
}

/// The digests of the images that a marker tells of, after the recipe's.
fn digests(marker: &str) -> impl Iterator<Item = &str> {
    marker.split_whitespace().skip(1)
}

/// Name and text of what tells which recipe made which image.
fn markers(folder: &Path) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        found.insert((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?));
    }
    Ok(found)
}

fn lock() -> Result<File> {
    let path = folder()?.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_bytes_that_are_not_what_their_name_says_are_never_taken() -> Result<()> {
        let place = tempfile::tempdir()?;
        let [kept, storage, built] = ["images", "registry", "built"].map(|name| place.path().join(name));
        let digest = format!("sha256:{}", hex(&Sha256::digest("layer")));
        let layer = blob(&kept.join("registry"), &digest);
        for folder in [&layer, &kept.join("built"), &built] {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(layer.join("data"), "layer")?;
        copy_verified(&kept, &storage, &built)?;
        assert_eq!(std::fs::read(blob(&storage, &digest).join("data"))?, b"layer");

        std::fs::remove_dir_all(&storage)?;
        std::fs::write(layer.join("data"), "laver")?;
        let error = copy_verified(&kept, &storage, &built).expect_err("one letter is another");
        assert!(error.to_string().contains("is not what its name says") && !storage.exists(), "{error}");
        Ok(())
    }
}
