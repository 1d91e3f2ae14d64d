//! Who signed a release, by git's own check, with no keys but those that are handed in.

use std::path::Path;

use xr_host::Output;
use xr_model::{Fault, Result};

use crate::{Checkout, Source, refs, remote::kept_tag};

/// Where the keys are that count.
#[derive(Clone, Copy, Debug)]
pub struct Keyring<'a> {
    /// gpg's home, with the OpenPGP keys.
    pub gnupg_home: &'a Path,
    /// The SSH keys, see `ssh-keygen(1)`, ALLOWED SIGNERS.
    pub allowed_signers: &'a Path,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// What is signed: `tag v1.2.0` or `commit 0123456789ab`.
    pub subject: String,
    /// Kind and fingerprint of the key.
    pub key: String,
    /// Whom the key names.
    pub owner: String,
}

impl Checkout {
    /// Who signed the release `commit` that `source` announced: the tag itself, or, where there is none, the commit.
    ///
    /// The tag must be an annotated one that names itself `source` and points at `commit`: one under another name is an
    /// older release in disguise. It is fetched when this clone has only its commit.
    ///
    /// # Errors
    /// When it is not signed, by none of the keys, or by one that has expired or was revoked; when a program is missing.
    pub fn signer(&self, source: &Source, commit: &str, keyring: Keyring<'_>) -> Result<Signer> {
        match source {
            Source::Tag(name) => self.tag_signer(name, commit, keyring),
            _ => self.verify("verify-commit", commit, format!("commit {}", refs::short(commit)), keyring),
        }
    }

    /// By the tag objects that are here; when none will do, by the remote's: a publisher may sign a tag anew.
    fn tag_signer(&self, name: &str, commit: &str, keyring: Keyring<'_>) -> Result<Signer> {
        let own = format!("refs/tags/{name}");
        let kept = kept_tag(name, commit);
        let check = |place: &str| -> Option<Result<Signer>> {
            let object = self.annotated(place, name, commit).transpose()?;
            Some(object.and_then(|object| self.verify("verify-tag", &object, format!("tag {name}"), keyring)))
        };
        let mut refusal = None;
        for verdict in [&own, &kept].into_iter().filter_map(|place| check(place)) {
            match verdict {
                Ok(signer) => return Ok(signer),
                Err(fault) => refusal = Some(fault),
            }
        }
        match (self.fetch_tag(name, &kept), refusal) {
            (Ok(()), refusal) => check(&kept).unwrap_or_else(|| {
                // What was fetched is not what is to be installed.
                self.must("keep the release", &self.git(["update-ref", &kept, commit]))?;
                Err(refusal.unwrap_or_else(|| light(name, commit)))
            }),
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(fault), None) => Err(fault),
        }
    }

    /// The tag object that a ref is at, when it is one of this name and at this commit.
    fn annotated(&self, place: &str, name: &str, commit: &str) -> Result<Option<String>> {
        let Some(object) = refs::read(&self.common_dir, place) else { return Ok(None) };
        let output = self.git(["cat-file", "tag", &object]).run()?;
        if output.code != 0 {
            return Ok(None); // a commit: a lightweight tag
        }
        // The header ends at the first empty line, see git-mktag(1).
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let header =
            |key: &str| text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(key));
        if header("tag ") != Some(name) {
            let says = header("tag ").unwrap_or_default();
            return Err(Fault::new(format!(
                "the tag {name} is another one under its name: it says `{says}` of itself"
            ))
            .hint("ask the publisher: somebody passes one release off as another"));
        }
        Ok((header("object ") == Some(commit) && header("type ") == Some("commit")).then_some(object))
    }

    fn verify(&self, how: &str, object: &str, subject: String, keyring: Keyring<'_>) -> Result<Signer> {
        let signers = format!("gpg.ssh.allowedSignersFile={}", keyring.allowed_signers.display());
        // What the clone's or the admin's own settings say about signatures does not count.
        let settings = [
            "gpg.program=gpg",
            "gpg.openpgp.program=gpg",
            "gpg.x509.program=false",
            "gpg.ssh.program=ssh-keygen",
            "gpg.ssh.revocationFile=",
            "gpg.minTrustLevel=undefined",
            &signers,
        ];
        let args = settings.into_iter().flat_map(|setting| ["-c", setting]).chain([how, "--raw", object]);
        let cmd = self.git(args).env("GNUPGHOME", keyring.gnupg_home);
        judge(&cmd.run()?, subject)
    }
}

fn light(name: &str, commit: &str) -> Fault {
    Fault::new(format!("the tag {name} at {} is a lightweight one: it cannot be signed", refs::short(commit)))
        .hint(format!("the publisher signs it: git tag --sign --force {name} {commit}, then pushes it"))
}

/// What git, gpg and ssh-keygen said. See gnupg's doc/DETAILS, "Format of the --status-fd output".
fn judge(output: &Output, subject: String) -> Result<Signer> {
    let said = output.error_text();
    let status = |key: &str| said.lines().find_map(|line| line.strip_prefix("[GNUPG:] ")?.strip_prefix(key));
    let ask = "ask the publisher; do not install it";
    let refuse = |what: &str, hint: &str| Err(Fault::new(format!("{subject} {what}")).hint(hint));
    for (key, what) in [
        ("BADSIG ", "has a bad signature: it was changed after it was signed"),
        ("REVKEYSIG ", "is signed with a key that its owner has revoked"),
        ("EXPKEYSIG ", "is signed with a key that has expired"),
        ("EXPSIG ", "has a signature that has expired"),
    ] {
        if let Some(who) = status(key) {
            return refuse(&format!("{what} ({who})"), ask);
        }
    }
    if let Some(who) = status("ERRSIG ") {
        let key = who.split(' ').next().unwrap_or_default();
        return refuse(&format!("is signed with the OpenPGP key {key}, which is not a trusted one"), ask);
    }
    if output.code == 0 {
        let good: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("[GNUPG:] GOODSIG ")).collect();
        if let ([who], Some(valid)) = (good.as_slice(), status("VALIDSIG ")) {
            let owner = who.split_once(' ').map_or("", |(_, owner)| owner).to_owned();
            // The last field is the primary key's.
            let key = format!("OpenPGP key {}", valid.split(' ').next_back().unwrap_or_default());
            return Ok(Signer { subject, key, owner });
        }
        let ssh = said.lines().find_map(|line| line.strip_prefix("Good \"git\" signature for "));
        if let Some((owner, key)) = ssh.and_then(|line| line.split_once(" with ")) {
            return Ok(Signer { subject, key: format!("SSH key {}", fingerprint(key)), owner: owner.to_owned() });
        }
    }
    if let Some(program) = ["gpg", "ssh-keygen"].into_iter().find(|name| said.contains(&format!("cannot run {name}"))) {
        let package = if program == "gpg" { "gpg" } else { "openssh-client" };
        let what = format!("cannot be checked: `{program}` is missing");
        return refuse(&what, &format!("apt-get install {package}   # whatever package has `{program}` here"));
    }
    if said.contains("No user exists for uid") {
        let hint = "chown the stack to a user that /etc/passwd knows, or ask the publisher for an OpenPGP signature";
        return refuse(
            "cannot be checked: ssh-keygen runs for no user without an account, and the stack's owner has none",
            hint,
        );
    }
    if said.contains("No principal matched") || said.contains("no principal matched") {
        let key = said.lines().find_map(|line| line.strip_prefix("Good \"git\" signature with ")).map(fingerprint);
        let key = key.map(|key| format!("the SSH key {key}")).unwrap_or_else(|| "an SSH key".to_owned());
        return refuse(&format!("is signed with {key}, which is not a trusted one, or was not when it signed"), ask);
    }
    if said.contains("no signature found") || said.is_empty() {
        return refuse(
            "is not signed",
            "the publisher signs a release by `git tag --sign`, or a commit by `git commit -S`",
        );
    }
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    refuse(&format!("has no good signature: {last}"), ask)
}

/// `ED25519 key SHA256:…` → `SHA256:…`.
fn fingerprint(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_signature_from_being_checked_is_told_from_a_bad_one() {
        for (code, said, message, hint) in [
            (1, "error: cannot run gpg: No such file or directory", "`gpg` is missing", "apt-get install gpg"),
            (1, "error: cannot run ssh-keygen: No such file or directory", "`ssh-keygen` is missing", "openssh-client"),
            (1, "No user exists for uid 12345", "the stack's owner has none", "chown"),
            (1, "error: no signature found", "is not signed", "git tag --sign"),
            (
                1,
                "[GNUPG:] ERRSIG 0123 22 8 00 1 9 ABCD",
                "OpenPGP key 0123, which is not a trusted one",
                "ask the publisher",
            ),
            // Good by one key and bad by another, or said to be good and not proven: no.
            (0, "[GNUPG:] GOODSIG 1 A\n[GNUPG:] VALIDSIG F\n[GNUPG:] BADSIG 2 B", "has a bad signature", "ask"),
            (0, "[GNUPG:] GOODSIG 1 A\n[GNUPG:] GOODSIG 2 B\n[GNUPG:] VALIDSIG F", "has no good signature", "ask"),
            (0, "[GNUPG:] GOODSIG 1 A", "has no good signature", "ask"),
            (1, "[GNUPG:] GOODSIG 1 A\n[GNUPG:] VALIDSIG F", "has no good signature", "ask"),
            (1, "Good \"git\" signature for a with ED25519 key SHA256:x", "has no good signature", "ask"),
        ] {
            let output = Output { code, stdout: Vec::new(), stderr: said.as_bytes().to_vec(), silent_for: None };
            let fault = judge(&output, "tag v1".to_owned()).unwrap_err();
            assert!(fault.message.contains(message), "{said}: {}", fault.message);
            assert!(fault.hint.as_deref().unwrap_or_default().contains(hint), "{said}: {:?}", fault.hint);
        }
    }
}
