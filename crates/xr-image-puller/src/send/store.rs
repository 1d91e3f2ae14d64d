//! Layers out of the engine's store on the disk: only what is sent is read. It is for those who may read there (root), and for
//! engines with the overlay2 driver; everything is checked against the digests that the image names.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use rustix::fs::OFlags;
use xr_host::Engine;

use super::{
    chain::{Content, chain_ids},
    hashing::bare,
    parcel::{Parcel, Writer},
    tar_split,
};

/// The store of an engine on this host.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// The engine's data directory.
    root: PathBuf,
}

impl Store {
    /// That of this engine, when it is one that can be read.
    pub async fn of(engine: &Engine) -> Option<Self> {
        let root = PathBuf::from(engine.info().await.ok()?.root);
        fs::read_dir(root.join("image/overlay2/layerdb/sha256")).is_ok().then_some(Self { root })
    }

    /// Makes a parcel of what lies in the store.
    pub fn pack(&self, image: &Content, from: usize, path: &Path) -> io::Result<Parcel> {
        let images = self.root.join("image/overlay2/imagedb/content/sha256");
        let mut parcel = Writer::begin(path, image, from)?;
        parcel.config(image, &fs::read(images.join(bare(&image.id)))?)?;
        for (diff, chain) in image.diffs.iter().zip(chain_ids(&image.diffs)).skip(from) {
            if parcel.wants(diff) {
                self.put(&mut parcel, diff, &chain)?;
            }
        }
        parcel.finish()
    }

    fn put(&self, parcel: &mut Writer, diff: &str, chain: &str) -> io::Result<()> {
        let about = self.root.join("image/overlay2/layerdb/sha256").join(bare(chain));
        let cache = fs::read_to_string(about.join("cache-id"))?;
        let files = self.root.join("overlay2").join(cache.trim()).join("diff");
        let record = BufReader::new(GzDecoder::new(File::open(about.join("tar-split.json.gz"))?));
        parcel.layer(diff, |to| tar_split::assemble(record, |name| open(&files.join(name)), to))
    }
}

/// Opens a file, and nothing else: a pipe would not end.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no file", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::send::hashing::sha256;

    const CONFIG: &[u8] = br#"{"os":"linux"}"#;
    const RECORD: &[u8] = br#"{"type":2,"payload":"aGVhZCA="}
{"type":1,"name":"a/file","size":7}
"#;

    fn put(path: PathBuf, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    /// An engine's root with an image of a layer below, which is not in the store, and one upon it, `head content`.
    fn engine_root(root: &Path) -> Content {
        let image = Content { id: sha256(CONFIG), diffs: vec![sha256(b"below"), sha256(b"head content")] };
        put(root.join("image/overlay2/imagedb/content/sha256").join(bare(&image.id)), CONFIG);
        let chain = chain_ids(&image.diffs).last().unwrap();
        let about = root.join("image/overlay2/layerdb/sha256").join(bare(&chain));
        put(about.join("cache-id"), b"0a1b");
        let mut record = GzEncoder::new(Vec::new(), Compression::fast());
        record.write_all(RECORD).unwrap();
        put(about.join("tar-split.json.gz"), &record.finish().unwrap());
        put(root.join("overlay2/0a1b/diff/a/file"), b"content");
        image
    }

    #[test]
    fn a_layer_is_put_together_from_the_store_without_those_below_it() {
        let root = tempfile::tempdir().unwrap();
        let image = engine_root(root.path());
        let store = Store { root: root.path().to_owned() };
        let parcel = store.pack(&image, 1, &root.path().join("a.parcel")).unwrap();
        assert_eq!(parcel.layers, 1);
        let mut text = Vec::new();
        File::open(&parcel.path).unwrap().read_to_end(&mut text).unwrap();
        assert!(text.windows(CONFIG.len()).any(|window| window == CONFIG));
        assert!(store.pack(&image, 0, &root.path().join("b.parcel")).is_err(), "the one below is not there");
    }

    #[test]
    fn a_file_that_was_changed_or_became_something_else_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let image = engine_root(root.path());
        let store = Store { root: root.path().to_owned() };
        let file = root.path().join("overlay2/0a1b/diff/a/file");
        put(file.clone(), b"contemt");
        assert!(store.pack(&image, 1, &root.path().join("a.parcel")).is_err());
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(store.pack(&image, 1, &root.path().join("b.parcel")).is_err());
    }
}
