//! The keys and the list that a release brings for the release after it.

use std::{fs, io, path::Path};

use xr_model::{Fault, Result};
use xr_session::Session;
use xr_stack::Trust;
use xr_trust::{KeyFile, Keys};

use crate::staging;

/// Puts the keys and the list of a release into its staged tree: they decide about the release after it.
///
/// # Errors
/// When a key that the release names is not in it, or is no key.
pub fn stage(session: &Session<'_>, commit: Option<&str>, trust: &Trust, staged: &Path) -> Result<()> {
    if trust.required && trust.keys.is_empty() {
        return Err(Fault::new("xr.toml: trust.required = true, but trust.keys names no key")
            .hint("[trust] keys = [\"keys/release.asc\"], with that file in the release"));
    }
    if trust.keys.is_empty() {
        return Ok(());
    }
    match (&session.checkout, commit) {
        (Some(checkout), Some(commit)) => {
            let files = trust.files();
            let names: Vec<&str> = files.iter().map(String::as_str).collect();
            checkout.stage(commit, &names, staged)?;
        }
        _ => {
            for name in trust.files() {
                let from = session.root.join(&name);
                if regular(&from)?.is_some() {
                    staging::copy(&from, &staged.join(&name))?;
                }
            }
        }
    }
    let keys = read_keys(staged, trust)?;
    // A host without gpg is told before it is bound to keys that only gpg can read.
    if trust.required { keys.examine(0).map(drop) } else { Ok(()) }
}

/// The keys that an `xr.toml` names, from the tree it stands in.
///
/// # Errors
/// A file that is missing or no key.
pub fn read_keys(root: &Path, trust: &Trust) -> Result<Keys> {
    let one = |name: &String| {
        let bytes = regular(&root.join(name))?.ok_or_else(|| missing(name))?;
        Ok(KeyFile { name: format!("xr.toml: trust.keys: {name}"), bytes })
    };
    Keys::read(trust.keys.iter().map(one).collect::<Result<_>>()?)
}

/// The bytes of a regular file; nothing when there is none. A symbolic link is not followed: it may lead anywhere.
pub fn regular(path: &Path) -> Result<Option<Vec<u8>>> {
    let cannot = |error: io::Error| {
        Fault::new(format!("cannot read {}", path.display()))
            .because(error)
            .hint(format!("ls -l {}   # expected a regular file", xr_model::shell(&path)))
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(error)),
        Ok(meta) if meta.is_symlink() => Err(cannot(io::Error::other("a symbolic link"))),
        Ok(_) => xr_stack::read_small(path).map(Some).map_err(cannot),
    }
}

pub(crate) fn missing(name: &str) -> Fault {
    Fault::new(format!("xr.toml: trust.keys: {name} does not exist in the release")).hint(
        "the publisher must put the key there: gpg --armor --export KEY, or the file of an SSH or minisign public key",
    )
}
