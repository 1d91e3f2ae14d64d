//! The signed list: which content a release consists of, written by its publisher once the images are pushed.
//!
//! ```text
//! # comments and empty lines are passed over
//! acme/web:v1.2.0@sha256:<64 hex digits>        an image; the tag may be left out (as in `RepoDigests`)
//! <64 hex digits>  docker/docker-compose.yml    a file, from the root, as sha256sum(1) writes it
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use minisign_verify::Signature;
use sha2::{Digest as _, Sha256};
use xr_model::{Fault, ImageRef, PinnedImage, Result};

use crate::Keys;

/// What a release consists of, as its publisher signed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedList {
    name: String,
    images: Vec<ImageRef>,
    files: BTreeMap<String, String>,
}

/// The key that a list is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKey {
    /// Kind and name, for messages.
    pub key: String,
    /// The signature's trusted comment, which is signed as well.
    pub comment: String,
}

impl SignedList {
    /// Checks the signature of a list; `name` stands for the list in faults.
    ///
    /// # Errors
    /// When the signature is malformed, or by none of the keys.
    pub fn verify(name: &str, bytes: &[u8], signature: &[u8], keys: &Keys) -> Result<ListKey> {
        let text = String::from_utf8_lossy(signature);
        let signature = Signature::decode(text.trim()).map_err(|error| {
            Fault::new(format!("{name}.minisig: not a minisign signature: {error}"))
                .hint(format!("the publisher makes it: minisign -Sm {name}"))
        })?;
        let good = keys.minisign.iter().find(|(_, key)| key.verify(bytes, &signature, true).is_ok());
        let Some((file, _)) = good else {
            let known: Vec<&str> = keys.minisign.iter().map(|(file, _)| file.as_str()).collect();
            return Err(Fault::new(format!(
                "{name} is not signed by a trusted key, or was changed afterwards (keys: {})",
                known.join(", ")
            ))
            .hint("ask the publisher; do not install it"));
        };
        let short = file.rsplit([' ', '/']).next().unwrap_or(file);
        Ok(ListKey { key: format!("minisign key {short}"), comment: signature.trusted_comment().to_owned() })
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Names the line that is neither an image nor a file, or that contradicts an earlier one.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut list = Self { name: name.to_owned(), ..Self::default() };
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((reference, _)) = line.split_once("@sha256:") {
                let image = ImageRef::new(line);
                let whole = image.digest().is_some_and(|digest| is_sha256(&digest.0["sha256:".len()..]));
                if whole && !reference.contains(char::is_whitespace) && !reference.is_empty() {
                    list.images.push(image);
                    continue;
                }
            } else if let Some((digest, path)) = line.split_once(char::is_whitespace)
                && is_sha256(digest)
            {
                let path = path.trim_start().trim_start_matches('*').trim_start_matches("./").to_owned();
                let digest = digest.to_ascii_lowercase();
                if list.files.get(&path).is_none_or(|known| *known == digest) {
                    list.files.insert(path, digest);
                    continue;
                }
                return Err(Fault::new(format!("{name}:{number}: {path} is listed twice, with different content"))
                    .hint("ask the publisher"));
            }
            return Err(Fault::new(format!("{name}:{number}: neither an image nor a file"))
                .hint("expected `reference@sha256:…`, or `SHA256  path` as sha256sum writes it"));
        }
        Ok(list)
    }

    /// The files that it lists.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether the file `path` is listed with this content.
    ///
    /// # Errors
    /// When it has another content, or is missing.
    pub fn check_file(&self, path: &str, bytes: Option<&[u8]>) -> Result<()> {
        let Some(listed) = self.files.get(path) else {
            return Err(Fault::new(format!("{path} is not in {}, so nobody vouches for it", self.name))
                .hint(format!("ask the publisher; a file of your own: [trust] own = [\"{path}\"] in .xr/site.toml")));
        };
        match bytes.map(sha256) {
            Some(found) if found == *listed => Ok(()),
            Some(_) => Err(Fault::new(format!("{path} is not what the publisher signed in {}", self.name))
                .hint("unpack the publisher's bundle again; do not install it as it is")),
            None => Err(Fault::new(format!("{path} is in {}, and missing here", self.name))
                .hint("unpack the publisher's bundle again")),
        }
    }

    /// Whether each image has a listed digest.
    ///
    /// # Errors
    /// Names every image that is not listed, that has another digest, or that has none because it was built here.
    pub fn check_images(&self, images: &[PinnedImage]) -> Result<()> {
        let wrong: BTreeSet<String> = images.iter().filter_map(|image| self.wrong(image)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let wrong: Vec<String> = wrong.into_iter().collect();
        Err(Fault::new(format!("not the images that the publisher signed in {}: {}", self.name, wrong.join("; ")))
            .hint("ask the publisher; nothing of it was pulled"))
    }

    fn wrong(&self, image: &PinnedImage) -> Option<String> {
        let reference = &image.reference;
        let Some(digest) = &image.digest else { return Some(format!("{reference} was built here")) };
        let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let named: Vec<&ImageRef> = self.images.iter().filter(|listed| listed.name() == reference.name()).collect();
        // Behind a mirror the same content has another name; what it is called last stays.
        let named = if named.is_empty() {
            self.images.iter().filter(|listed| last(listed.name()) == last(reference.name())).collect()
        } else {
            named
        };
        let mut tagged = named.into_iter().filter(|listed| listed.tag().is_none_or(|tag| Some(tag) == reference.tag()));
        let Some(first) = tagged.next() else { return Some(format!("{reference} is not listed")) };
        let mut digests = std::iter::once(first).chain(tagged).filter_map(ImageRef::digest);
        let listed = first.digest().map(|digest| digest.short().to_owned()).unwrap_or_default();
        (!digests.any(|listed| listed == *digest))
            .then(|| format!("{reference} is {}, listed is {listed}", digest.short()))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyFile;
    use xr_model::Digest;

    fn pinned(reference: &str, digit: char) -> PinnedImage {
        PinnedImage {
            reference: ImageRef::new(reference),
            digest: (digit != '-').then(|| Digest(format!("sha256:{}", digit.to_string().repeat(64)))),
            image_id: String::new(),
            services: vec![],
            versioned: true,
        }
    }

    fn list() -> SignedList {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = format!(
            "# v1.2.0\n\nacme/web:v1.2.0@sha256:{a}\npostgres@sha256:{b}\nlocalhost:5000/acme/api:v1@sha256:{a}\n{}  docker/c.yml\n",
            sha256(b"services: {}\n")
        );
        SignedList::parse("release.lock", text.as_bytes()).unwrap()
    }

    #[test]
    fn an_image_is_taken_only_with_a_listed_digest() {
        for (reference, digit, wrong) in [
            ("acme/web:v1.2.0", 'a', None),
            ("acme/web:v1.2.0", 'b', Some("acme/web:v1.2.0 is bbbbbbbbbbbb, listed is aaaaaaaaaaaa")),
            ("acme/web:v1.3.0", 'a', Some("is not listed")),
            ("mirror.example/acme/web:v1.2.0", 'a', None),
            ("mirror.example/acme/web:v1.2.0", 'b', Some("listed is aaaa")),
            ("postgres:15", 'b', None),
            ("redis:7", 'b', Some("redis:7 is not listed")),
            ("localhost:5000/acme/api:v1", 'a', None),
            ("acme/web:v1.2.0", '-', Some("was built here")),
        ] {
            let found = list().check_images(&[pinned(reference, digit)]).err().map(|fault| fault.message);
            assert_eq!(found.is_some(), wrong.is_some(), "{reference} {found:?}");
            assert!(found.unwrap_or_default().contains(wrong.unwrap_or_default()), "{reference}");
        }
    }

    #[test]
    fn a_file_is_taken_only_with_the_listed_content() {
        let list = list();
        assert!(list.check_file("docker/c.yml", Some(b"services: {}\n")).is_ok());
        for (path, bytes, part) in [
            ("docker/c.yml", Some(b"services: []\n".as_slice()), "not what the publisher signed"),
            ("docker/c.yml", None, "missing here"),
            ("docker/d.yml", Some(b""), "nobody vouches for it"),
        ] {
            let fault = list.check_file(path, bytes).unwrap_err();
            assert!(fault.message.contains(part) && fault.hint.is_some(), "{}", fault.message);
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_pointed_at() {
        let hex = "c".repeat(64);
        for (text, part) in [
            ("hello\n".to_owned(), "release.lock:1: neither"),
            ("#\nacme/web:v1@sha256:12\n".to_owned(), "release.lock:2: neither"),
            (format!("@sha256:{hex}\n"), ":1: neither"),
            (format!("{hex}  a\n{}  a\n", "d".repeat(64)), "release.lock:2: a is listed twice"),
        ] {
            let fault = SignedList::parse("release.lock", text.as_bytes()).unwrap_err();
            assert!(fault.message.contains(part) && fault.hint.is_some(), "{}", fault.message);
        }
    }

    #[test]
    fn only_a_trusted_key_signs_and_only_what_was_signed() {
        let pair = || minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let (ours, theirs) = (pair(), pair());
        let keys = Keys::read(vec![KeyFile {
            name: "xr.toml: trust.keys: keys/acme.pub".into(),
            bytes: ours.pk.to_box().unwrap().to_string().into_bytes(),
        }])
        .unwrap();
        let sign = |pair: &minisign::KeyPair, bytes: &[u8]| {
            minisign::sign(None, &pair.sk, bytes, Some("acme v1"), None).unwrap().to_string().into_bytes()
        };
        let check = |bytes: &[u8], signature: &[u8]| SignedList::verify("release.lock", bytes, signature, &keys);
        let good = check(b"x", &sign(&ours, b"x")).unwrap();
        assert_eq!((good.key.as_str(), good.comment.as_str()), ("minisign key acme.pub", "acme v1"));
        for (bytes, signature) in [(b"y", sign(&ours, b"x")), (b"x", sign(&theirs, b"x")), (b"x", b"no".to_vec())] {
            assert!(check(bytes, &signature).unwrap_err().hint.is_some());
        }
    }
}
