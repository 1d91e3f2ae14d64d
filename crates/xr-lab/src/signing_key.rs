//! A publisher's key for signing tags and commits, in a folder of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use duct::cmd;
use tempfile::TempDir;

use crate::shell::run;

/// A key that git signs with. Dropping it deletes it, and ends the agent that gpg started for it.
#[derive(Debug)]
pub struct SigningKey {
    dir: TempDir,
    settings: Vec<String>,
    public: String,
}

impl SigningKey {
    /// An OpenPGP key of this person.
    pub fn openpgp(owner: &str) -> Result<Self> {
        Self::gpg(owner, "")
    }

    /// An OpenPGP key that expired years ago, and signs as if that were now.
    pub fn expired(owner: &str) -> Result<Self> {
        Self::gpg(owner, "--faked-system-time 20200101T000000!")
    }

    fn gpg(owner: &str, when: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("key-").tempdir()?; // gpg's folders are private, and their paths short
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
        let program = dir.path().join("sign");
        let home = dir.path().display();
        std::fs::write(&program, format!("#!/bin/sh\nexec gpg --homedir {home} --batch --quiet {when} \"$@\"\n"))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700))?;
        let life = if when.is_empty() { "never" } else { "1d" };
        let gpg = |argv: &[&str]| run("gpg", cmd(&program, argv));
        gpg(&["--passphrase", "", "--quick-generate-key", owner, "ed25519", "sign", life])?;
        let public = gpg(&["--armor", "--export"])?;
        let settings = vec![format!("gpg.program={}", program.display()), format!("user.signingKey={owner}")];
        Ok(Self { dir, settings, public })
    }

    /// An SSH key.
    pub fn ssh(owner: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("key-").tempdir()?;
        let path = dir.path().join("id");
        run("ssh-keygen", cmd!("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", owner, "-f", &path))?;
        let public = std::fs::read_to_string(path.with_extension("pub"))?;
        let settings = vec!["gpg.format=ssh".to_owned(), format!("user.signingKey={}", path.display())];
        Ok(Self { dir, settings, public })
    }

    /// The public key, as a file holds it.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The public key with the revocation that gpg makes with every key.
    pub fn revoked(&self) -> Result<String> {
        let folder = self.dir.path().join("openpgp-revocs.d");
        let path = std::fs::read_dir(folder)?.next().context("no revocation")??.path();
        // A colon keeps it from being imported by mistake.
        let text = std::fs::read_to_string(path)?.replace("\n:-----BEGIN", "\n-----BEGIN");
        let program = self.dir.path().join("sign");
        cmd!(&program, "--import").stdin_bytes(text).stderr_null().run()?;
        run("gpg", cmd!(&program, "--armor", "--export"))
    }

    /// `git <argv>` with this key.
    pub fn argv<'a>(&'a self, argv: &[&'a str]) -> Vec<&'a str> {
        let settings = self.settings.iter().flat_map(|setting| ["-c", setting.as_str()]);
        settings.chain(argv.iter().copied()).collect()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        // One that signs by SSH has no agent.
        let _ = cmd!("gpgconf", "--homedir", self.dir.path(), "--kill", "all").stderr_null().unchecked().run();
    }
}
