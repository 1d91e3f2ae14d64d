//! Digests of what passes through.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// A writer that digests what it passes on.
pub(super) struct Hashing<W> {
    to: W,
    digest: Sha256,
}

impl<W: Write> Hashing<W> {
    pub fn new(to: W) -> Self {
        Self { to, digest: Sha256::new() }
    }

    /// What was written to, and the digest of all of it.
    pub fn finish(self) -> (W, String) {
        (self.to, spelled(self.digest))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.digest.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The digest of these bytes, `sha256:…`.
pub(super) fn sha256(bytes: &[u8]) -> String {
    spelled(Sha256::new_with_prefix(bytes))
}

/// The digest of all that is left to read, `sha256:…`.
pub(super) fn sha256_of(mut from: impl Read) -> io::Result<String> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut from, &mut hashing)?;
    Ok(hashing.finish().1)
}

/// A digest without the name of its algorithm.
pub(super) fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn spelled(digest: Sha256) -> String {
    digest.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
