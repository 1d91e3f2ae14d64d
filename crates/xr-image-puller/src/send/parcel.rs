//! A parcel: what `docker load` needs to make an image of the layers that it has and those in the parcel.
//!
//! The engine looks for each layer that the parcel's manifest names by its chain id, and opens the layer's file only when it
//! has none (moby, image/tarexport/load.go). The configuration travels as it is, and its digest is the image's id: what comes
//! of a parcel is this image or none.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tar::{EntryType, Header};

use super::{
    chain::Content,
    hashing::{Hashing, bare, sha256, sha256_of},
};

/// The size of a tar's blocks.
const BLOCK: u64 = 512;

/// A parcel on this host's disk, gone with this value.
#[derive(Debug)]
pub(super) struct Parcel {
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, without the algorithm's name.
    pub sha256: String,
    /// How many layers are in it.
    pub layers: usize,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // What is left is removed by the next sender in this folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// A parcel being made. The same image and layers make the same bytes.
pub(super) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    wanted: BTreeSet<String>,
    layers: usize,
}

impl Writer {
    /// Begins a parcel for `image` with the layers from the one numbered `from` on.
    pub fn begin(path: &Path, image: &Content, from: usize) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
        let wanted: BTreeSet<String> = image.diffs[from..].iter().cloned().collect();
        let layers = wanted.len();
        let mut parcel =
            Self { file: BufWriter::with_capacity(256 << 10, file), path: path.to_owned(), wanted, layers };
        let names: Vec<String> = image.diffs.iter().map(|diff| layer_name(diff)).collect();
        let manifest = json!([{ "Config": config_name(&image.id), "RepoTags": null, "Layers": names }]);
        parcel.entry("manifest.json", manifest.to_string().as_bytes())?;
        Ok(parcel)
    }

    /// Puts the image's configuration in.
    pub fn config(&mut self, image: &Content, bytes: &[u8]) -> io::Result<()> {
        if sha256(bytes) != image.id {
            return Err(other("the configuration is not the image's"));
        }
        self.entry(&config_name(&image.id), bytes)
    }

    /// Whether a layer with this content is still to be put in.
    pub fn wants(&self, diff: &str) -> bool {
        self.wanted.contains(diff)
    }

    /// Whether all layers are in.
    pub fn is_full(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Puts the layer `diff` in: its tar as `write` writes it.
    pub fn layer(&mut self, diff: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        // The header tells the size, which is known only afterwards.
        let header = self.file.stream_position()?;
        self.file.write_all(&[0; BLOCK as usize])?;
        let mut tar = Hashing::new(GzEncoder::new(&mut self.file, Compression::fast()));
        write(&mut tar)?;
        let (gzip, digest) = tar.finish();
        gzip.finish()?;
        if digest != diff {
            return Err(other(format!("layer {diff} is {digest} in the engine's store")));
        }
        let size = self.file.stream_position()? - header - BLOCK;
        self.pad(size)?;
        self.file.seek(SeekFrom::Start(header))?;
        self.file.write_all(head(&layer_name(diff), size)?.as_bytes())?;
        self.file.seek(SeekFrom::End(0))?;
        self.wanted.remove(diff);
        Ok(())
    }

    /// Closes the parcel.
    pub fn finish(mut self) -> io::Result<Parcel> {
        if let Some(diff) = self.wanted.first() {
            return Err(other(format!("layer {diff} did not come")));
        }
        self.file.write_all(&[0; 2 * BLOCK as usize])?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let size = file.stream_position()?;
        file.rewind()?;
        let sha256 = bare(&sha256_of(file)?).to_owned();
        Ok(Parcel { path: self.path, size, sha256, layers: self.layers })
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        self.file.write_all(head(name, size)?.as_bytes())?;
        self.file.write_all(bytes)?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (BLOCK - size % BLOCK) % BLOCK;
        self.file.write_all(&[0; BLOCK as usize][..rest as usize])
    }
}

fn config_name(id: &str) -> String {
    format!("{}.json", bare(id))
}

fn layer_name(diff: &str) -> String {
    format!("{}.tar.gz", bare(diff))
}

fn head(name: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

fn other(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use flate2::read::GzDecoder;

    use super::*;

    const CONFIG: &[u8] = br#"{"os":"linux"}"#;

    fn image(layers: &[&[u8]]) -> Content {
        Content { id: sha256(CONFIG), diffs: layers.iter().map(|layer| sha256(layer)).collect() }
    }

    fn make(folder: &Path, layers: &[&[u8]], from: usize) -> io::Result<Parcel> {
        let image = image(layers);
        let mut parcel = Writer::begin(&folder.join("a.parcel"), &image, from)?;
        parcel.config(&image, CONFIG)?;
        for layer in &layers[from..] {
            if parcel.wants(&sha256(layer)) {
                parcel.layer(&sha256(layer), |to| to.write_all(layer))?;
            }
        }
        parcel.finish()
    }

    #[test]
    fn a_parcel_names_all_layers_and_holds_those_that_lack() {
        let folder = tempfile::tempdir().unwrap();
        let big = vec![7; 100_000];
        let layers: [&[u8]; 4] = [b"one", b"two", &big, b"two"];
        let parcel = make(folder.path(), &layers, 1).unwrap();
        assert_eq!((parcel.layers, parcel.size), (2, fs::metadata(&parcel.path).unwrap().len()));
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&parcel.path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        let names: Vec<&str> = manifest[0]["Layers"].as_array().unwrap().iter().filter_map(|l| l.as_str()).collect();
        assert_eq!(names.len(), 4);
        assert!(!found.contains_key(names[0]));
        for (name, layer) in names.iter().zip(layers).skip(1) {
            let mut tar = Vec::new();
            GzDecoder::new(&found[*name][..]).read_to_end(&mut tar).unwrap();
            assert_eq!(tar, layer);
        }
        assert_eq!(found[manifest[0]["Config"].as_str().unwrap()], CONFIG);
    }

    #[test]
    fn the_same_layers_make_the_same_bytes_and_a_parcel_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let sums: Vec<String> =
            (0..2).map(|_| make(folder.path(), &[b"one", b"two"], 0).unwrap().sha256.clone()).collect();
        assert_eq!(sums[0], sums[1]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn other_content_than_the_id_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(&[b"one"]);
        let mut parcel = Writer::begin(&folder.path().join("a.parcel"), &image, 0).unwrap();
        assert!(parcel.config(&image, b"{}").is_err());
        assert!(parcel.layer(&image.diffs[0], |to| to.write_all(b"two")).is_err());
        assert!(parcel.finish().is_err());
    }
}
