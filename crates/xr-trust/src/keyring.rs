//! The keys that git's signatures are checked with, where gpg and ssh-keygen find them, and no others.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use xr_host::{Cmd, Identity};
use xr_journal::{Ownership, create_private_dir, write_atomic};
use xr_model::{Fault, Result};

use crate::{KeyFile, Keys};

/// No agent, no network, and a key counts because it is here: who certified it is not asked. See gpg(1).
const GPG_CONF: &[u8] = b"batch\nno-tty\nno-autostart\ndisable-dirmngr\nno-auto-key-retrieve\ntrust-model always\n";

/// The same for a call without that file; gpg makes its own trust database, without which it fails at a revoked key.
const OFFLINE: [&str; 3] = ["--batch", "--no-tty", "--no-autostart"];

/// A private folder with the keys; gone when this is dropped.
#[derive(Debug)]
pub struct Keyring {
    dir: PathBuf,
}

impl Keyring {
    /// Makes the folder `dir` anew (0700, its parent's owner's) with these keys in it; gpg runs as `identity`.
    ///
    /// # Errors
    /// When it cannot be written, gpg is missing, or a file turns out not to be a key.
    pub fn make(dir: &Path, keys: &Keys, identity: Option<&Identity>) -> Result<Self> {
        if fs::symlink_metadata(dir).is_ok() {
            fs::remove_dir_all(dir).map_err(Fault::at(format!("cannot remove {}", dir.display())))?;
        }
        create_private_dir(dir)?;
        let ring = Self { dir: dir.to_owned() };
        let write = |name: &str, bytes: &[u8]| write_atomic(&dir.join(name), bytes, 0o600, Ownership::Keep);
        write("gpg.conf", GPG_CONF)?;
        write("common.conf", b"")?; // gpg 2.4 would else have a daemon keep the keys
        write("allowed_signers", (keys.signers.join("\n") + "\n").as_bytes())?;
        for file in &keys.openpgp {
            let import = Cmd::new("gpg").arg("--homedir").arg(dir).arg("--import");
            run_gpg(import.run_as(identity), file)?;
        }
        Ok(ring)
    }

    /// The folder, as gpg's home.
    pub fn gnupg_home(&self) -> &Path {
        &self.dir
    }

    /// The file of SSH keys; empty when there are none.
    pub fn allowed_signers(&self) -> PathBuf {
        self.dir.join("allowed_signers")
    }
}

impl Keys {
    /// Has gpg look at the OpenPGP keys, without a keyring. Gives those that sign nothing any more: `a.asc has expired`.
    ///
    /// # Errors
    /// When gpg is missing, or a file turns out not to be a key.
    pub fn examine(&self, now: i64) -> Result<Vec<String>> {
        let mut spent = Vec::new();
        // gpg wants a private folder of its own.
        let private = fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir();
        let folder = folder.map_err(Fault::at("cannot make a temporary folder"))?;
        for file in &self.openpgp {
            let show = Cmd::new("gpg").arg("--homedir").arg(folder.path()).args(OFFLINE);
            let show = show.args(["--with-colons", "--show-keys"]);
            let listed = run_gpg(show, file)?;
            // Fields 2 and 7 of a `pub` record are validity and expiry, see gnupg's doc/DETAILS.
            for record in listed.lines().filter_map(|line| line.strip_prefix("pub:")) {
                let fields: Vec<&str> = record.split(':').collect();
                let expiry: Option<i64> = fields.get(5).and_then(|expiry| expiry.parse().ok());
                match fields.first() {
                    Some(&"r") => spent.push(format!("{} was revoked", file.name)),
                    _ if expiry.is_some_and(|expiry| expiry <= now) => spent.push(format!("{} has expired", file.name)),
                    _ => {}
                }
            }
        }
        Ok(spent)
    }
}

/// What gpg says to a file on its standard input that must hold a key.
fn run_gpg(gpg: Cmd, file: &KeyFile) -> Result<String> {
    let gpg = gpg.env("LC_ALL", "C").stdin(file.bytes.clone());
    let output = gpg.run().map_err(|fault| {
        fault.hint("apt-get install gpg   # OpenPGP signatures are checked by it; SSH signatures need no gpg")
    })?;
    if output.code == 0 {
        return Ok(output.text());
    }
    Err(Fault::new(format!("{}: gpg finds no public key in it", file.name))
        .because(gpg.failed(&output))
        .hint("gpg --armor --export KEY writes such a file"))
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // Public keys in a private folder: what cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_only_looks_like_a_key_is_named_and_nothing_stays_behind() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n".to_vec();
        let keys = Keys::read(vec![KeyFile { name: "site.toml: key.asc".into(), bytes }]).unwrap();
        assert!(keys.examine(0).is_err());
        let fault = Keyring::make(&dir.path().join("keyring"), &keys, None).unwrap_err();
        assert!(fault.message.starts_with("site.toml: key.asc: gpg finds no public key"), "{}", fault.chain());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
