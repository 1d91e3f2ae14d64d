//! Layers out of the engine's own export of an image: every engine gives it, and it costs reading the whole image.

use std::{
    io::{self, Read, Seek, Write},
    path::Path,
    time::Duration,
};

use futures_util::StreamExt;
use tar::Archive;
use tokio::sync::mpsc;
use xr_host::Engine;
use xr_model::{Fault, Result};

use super::{
    chain::Content,
    hashing::{Hashing, bare},
    parcel::{Parcel, Writer},
};

/// How long the engine may be silent: it gathers the whole image before it begins.
const PATIENCE: Duration = Duration::from_secs(300);
/// No configuration is larger.
const LARGEST_CONFIG: u64 = 16 << 20;

/// Makes a parcel of what `engine` exports of `image`.
pub(super) async fn pack(engine: &Engine, image: &Content, from: usize, path: &Path) -> Result<Parcel> {
    let failed = format!("cannot pack image {}", image.id);
    let (feed, pieces) = mpsc::channel(8);
    let (of, at) = (image.clone(), path.to_owned());
    let packing = tokio::task::spawn_blocking(move || fill(Pieces { pieces, piece: None }, &of, from, &at));
    let mut export = std::pin::pin!(engine.client().export_image(&image.id));
    loop {
        let piece = tokio::time::timeout(PATIENCE, export.next()).await;
        let piece = match piece {
            Ok(None) => break,
            Ok(Some(piece)) => piece.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the engine exports nothing")),
        };
        let last = piece.is_err();
        // The packer stops listening when it has what it wants.
        if feed.send(piece).await.is_err() || last {
            break;
        }
    }
    drop(feed);
    packing.await.map_err(Fault::at(failed.clone()))?.map_err(Fault::at(failed))
}

fn fill(tar: impl Read, image: &Content, from: usize, path: &Path) -> io::Result<Parcel> {
    let mut parcel = Writer::begin(path, image, from)?;
    let config = format!("{}.json", bare(&image.id));
    let mut has_config = false;
    for entry in Archive::new(tar).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        // Since engine 25 what is in a file is its name; before, layers lie in folders of other names.
        let named = name.strip_prefix("blobs/sha256/").map(|digest| format!("sha256:{digest}"));
        if name == config || named.as_ref() == Some(&image.id) {
            let mut bytes = Vec::new();
            entry.take(LARGEST_CONFIG).read_to_end(&mut bytes)?;
            parcel.config(image, &bytes)?;
            has_config = true;
        } else if let Some(diff) = &named {
            if parcel.wants(diff) {
                parcel.layer(diff, |to| io::copy(&mut entry, to).map(drop))?;
            }
        } else if name.ends_with("/layer.tar") {
            let mut spool = Hashing::new(tempfile::tempfile_in(path.parent().unwrap_or(Path::new(".")))?);
            io::copy(&mut entry, &mut spool)?;
            let (mut spool, diff) = spool.finish();
            if parcel.wants(&diff) {
                spool.rewind()?;
                parcel.layer(&diff, |to| io::copy(&mut spool, to).map(drop))?;
            }
        }
        if has_config && parcel.is_full() {
            break;
        }
    }
    if !has_config {
        return Err(io::Error::other("its configuration is not in the engine's export"));
    }
    parcel.finish()
}

/// The pieces of a stream, read by a thread that may wait.
struct Pieces<B> {
    pieces: mpsc::Receiver<io::Result<B>>,
    piece: Option<(B, usize)>,
}

impl<B: AsRef<[u8]>> Read for Pieces<B> {
    fn read(&mut self, mut to: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((piece, at)) = &mut self.piece
                && *at < piece.as_ref().len()
            {
                let length = to.write(&piece.as_ref()[*at..])?;
                *at += length;
                return Ok(length);
            }
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = Some((piece?, 0)),
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, EntryType, Header};

    use super::*;
    use crate::send::hashing::sha256;

    const CONFIG: &[u8] = br#"{"os":"linux"}"#;
    const LAYERS: [&[u8]; 3] = [b"one", b"two", b"three"];

    fn image() -> Content {
        Content { id: sha256(CONFIG), diffs: LAYERS.iter().map(|layer| sha256(layer)).collect() }
    }

    fn export(files: &[(String, &[u8])]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(EntryType::Regular);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn layers(tar: &[u8], from: usize) -> io::Result<usize> {
        let folder = tempfile::tempdir().unwrap();
        fill(tar, &image(), from, &folder.path().join("a.parcel")).map(|parcel| parcel.layers)
    }

    #[test]
    fn layers_are_found_in_the_layout_of_old_engines_and_of_new_ones() {
        let old: Vec<(String, &[u8])> = vec![
            ("0a/layer.tar".into(), LAYERS[2]),
            ("0b/layer.tar".into(), LAYERS[0]),
            ("0c/VERSION".into(), b"1.0"),
            ("0c/layer.tar".into(), LAYERS[1]),
            (format!("{}.json", bare(&image().id)), CONFIG),
            ("manifest.json".into(), b"[]"),
        ];
        let new: Vec<(String, &[u8])> = [CONFIG, LAYERS[1], LAYERS[0], LAYERS[2]]
            .map(|bytes| (format!("blobs/sha256/{}", bare(&sha256(bytes))), bytes))
            .into();
        for files in [old, new] {
            for (from, expected) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
                assert_eq!(layers(&export(&files), from).unwrap(), expected);
            }
            let without: Vec<_> = files.iter().filter(|(_, bytes)| *bytes != LAYERS[2]).cloned().collect();
            let error = layers(&export(&without), 0).unwrap_err().to_string();
            assert!(error.contains("did not come"), "{error}");
        }
    }

    #[test]
    fn an_export_without_the_configuration_makes_no_parcel() {
        assert!(layers(&export(&[("0a/layer.tar".into(), LAYERS[0])]), 3).is_err());
    }

    #[test]
    fn a_stream_is_read_across_its_pieces() {
        let (feed, pieces) = mpsc::channel(4);
        for piece in [&b"on"[..], b"", b"e two"] {
            feed.try_send(Ok(piece)).unwrap();
        }
        drop(feed);
        let mut text = String::new();
        Pieces { pieces, piece: None }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }
}
