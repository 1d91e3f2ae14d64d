//! Public keys in files; the content says of which kind they are.

use minisign_verify::PublicKey;
use xr_model::{Fault, Result};

/// A file that should hold public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// What it is called in messages.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The keys that count.
#[derive(Debug, Default)]
pub struct Keys {
    /// OpenPGP public keys, as `gpg --import` reads them.
    pub(crate) openpgp: Vec<KeyFile>,
    /// Lines as in `ssh-keygen(1)`, ALLOWED SIGNERS.
    pub(crate) signers: Vec<String>,
    /// Name of the file, and the key.
    pub(crate) minisign: Vec<(String, PublicKey)>,
}

/// The types of `sshd(8)`'s AUTHORIZED_KEYS that a line may have.
const SSH_TYPES: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];
/// What a file of keys may be, for hints.
const EXPECTED: &str = "expected an OpenPGP public key (gpg --armor --export KEY), an SSH public key or allowed_signers file, or a minisign public key";

impl Keys {
    /// Reads key files.
    ///
    /// # Errors
    /// Names the first file that holds no public key, or a private one.
    pub fn read(files: Vec<KeyFile>) -> Result<Self> {
        let mut keys = Self::default();
        for file in files {
            keys.add(file)?;
        }
        Ok(keys)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        !self.has_git() && !self.has_minisign()
    }

    /// Whether there is a key that git's signatures can be checked with.
    pub fn has_git(&self) -> bool {
        !self.openpgp.is_empty() || !self.signers.is_empty()
    }

    /// Whether there is a key that a signed list can be checked with.
    pub fn has_minisign(&self) -> bool {
        !self.minisign.is_empty()
    }

    fn add(&mut self, file: KeyFile) -> Result<()> {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        if text.contains("PRIVATE KEY") || text.contains("secret key") {
            return Err(Fault::new(format!("{}: this is a private key; only its public half belongs here", file.name))
                .hint(
                    "take it out of the tree and out of git's history, and make a new one: whoever has it can sign",
                ));
        }
        if is_openpgp(&file.bytes) {
            self.openpgp.push(file);
        } else if text.lines().any(is_ssh) {
            self.signers.extend(text.lines().filter_map(signer));
        } else if let Ok(key) = PublicKey::decode(text.trim()).or_else(|_| PublicKey::from_base64(text.trim())) {
            self.minisign.push((file.name, key));
        } else {
            return Err(Fault::new(format!("{}: not a public key", file.name)).hint(EXPECTED));
        }
        Ok(())
    }
}

/// Armoured, or a packet of type 6, see RFC 9580, 4.2 and 5.5.
fn is_openpgp(bytes: &[u8]) -> bool {
    const ARMOUR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    bytes.windows(ARMOUR.len()).any(|part| part == ARMOUR) || matches!(bytes.first(), Some(0x98 | 0x99 | 0x9a | 0xc6))
}

fn is_type(word: &str) -> bool {
    SSH_TYPES.iter().any(|start| word.starts_with(start))
}

fn is_ssh(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.split_whitespace().any(is_type)
}

/// A line for `allowed_signers`; a bare public key is anybody's who has it, for git alone.
fn signer(line: &str) -> Option<String> {
    let line = line.trim();
    if !is_ssh(line) {
        return None;
    }
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) if is_type(kind) => {
            let owner: String = words.next().unwrap_or("*").chars().filter(|c| !"\",".contains(*c)).collect();
            let owner = if owner.is_empty() { "*".to_owned() } else { owner };
            Some(format!("{owner} namespaces=\"git\" {kind} {key}"))
        }
        _ => Some(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKc2nq3 release@acme.example";

    fn read(text: &str) -> Result<Keys> {
        Keys::read(vec![KeyFile { name: "xr.toml: trust.keys: keys/a".into(), bytes: text.as_bytes().to_vec() }])
    }

    #[test]
    fn the_content_says_which_kind_of_key_it_is() {
        assert_eq!(
            read(&format!("# ours\n{SSH}\n")).unwrap().signers,
            ["release@acme.example namespaces=\"git\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKc2nq3"]
        );
        let line = "release@acme.example valid-before=\"20300101\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKc2nq3";
        assert_eq!(read(line).unwrap().signers, [line]);
        let armoured = "Acme's key\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n…";
        assert!(read(armoured).unwrap().has_git());
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        for text in [pair.pk.to_box().unwrap().to_string(), pair.pk.to_base64()] {
            let keys = read(&text).unwrap();
            assert!(keys.has_minisign() && !keys.has_git());
        }
    }

    #[test]
    fn what_is_no_public_key_is_named_and_a_private_one_is_refused() {
        for (text, part) in [
            ("", "not a public key"),
            ("hello\n", "not a public key"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "private key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
            ("untrusted comment: minisign encrypted secret key\nRWQAAEIyAAAA", "private key"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.message.starts_with("xr.toml: trust.keys: keys/a: ") && fault.message.contains(part));
            assert!(fault.hint.is_some());
        }
    }
}
