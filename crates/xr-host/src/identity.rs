//! Whose files these are, and running programs as that user.
//!
//! Under `sudo`, a tree that belongs to a user stays that user's: git runs as the owner (which also spares git's
//! "dubious ownership" refusal), and files written into it are given to the owner.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use xr_model::{Fault, Result};

/// A user to run a program as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// The home folder, for `~/.ssh` and `~/.gitconfig`.
    pub home: Option<String>,
    /// The login name.
    pub name: Option<String>,
}

/// The owner of `path` when xr runs as root and the owner is somebody else; otherwise `None`: nothing to switch to.
///
/// # Errors
/// When `path` cannot be read.
pub fn owner_of(path: &Path) -> Result<Option<Identity>> {
    let meta = fs::metadata(path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
    if !rustix::process::geteuid().is_root() || meta.uid() == 0 {
        return Ok(None);
    }
    let entry = fs::read_to_string("/etc/passwd").unwrap_or_default().lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() > 5 && fields[2] == meta.uid().to_string()).then(|| (fields[0].to_owned(), fields[5].to_owned()))
    });
    let (name, home) = entry.unzip();
    Ok(Some(Identity { uid: meta.uid(), gid: meta.gid(), home, name }))
}
