//! Whose files these are, and running programs as that user.
//!
//! Under `sudo`, a tree that belongs to a user stays that user's: git runs as the owner (which also spares git's
//! "dubious ownership" refusal), and files written into it are given to the owner.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use xr_model::{Fault, Result};

use crate::Cmd;

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
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = entry_of(&passwd, meta.uid()).or_else(|| {
        // A user of a directory service (LDAP, sssd) is in no file: getent asks what the machine is set up to ask.
        let output = Cmd::new("getent").arg("passwd").arg(meta.uid().to_string()).run().ok()?;
        entry_of(&output.text(), meta.uid())
    });
    let (name, home) = entry.unzip();
    Ok(Some(Identity { uid: meta.uid(), gid: meta.gid(), home, name }))
}

/// Name and home folder of a user, by the lines of passwd(5).
fn entry_of(passwd: &str, uid: u32) -> Option<(String, String)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() > 5 && fields[2] == uid.to_string()).then(|| (fields[0].to_owned(), fields[5].to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number_with_name_and_home() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nada:*:10042:100:Ada,,,:/home/example.org/ada:/bin/bash\nshort:x:7\n";
        assert_eq!(entry_of(passwd, 10042), Some(("ada".to_owned(), "/home/example.org/ada".to_owned())));
        assert_eq!(entry_of(passwd, 7), None);
    }
}
