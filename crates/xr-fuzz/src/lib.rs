//! Everything that xr reads and did not write itself, or wrote before a crash: each as a function of bytes that must not
//! panic, and must not lose a byte that it should keep.
//!
//! The targets of `fuzz/` (cargo-fuzz) and the bounded test of this crate call the same functions.
#![allow(clippy::disallowed_methods, reason = "writes the files that the readers are given")]

mod mutate;

use std::{fs, path::Path};

use tempfile::TempDir;
use xr_env_writer::{EnvFile, MergeRules, Secret, merge};
use xr_journal::{Generations, Home, read_runs, unfinished};
use xr_model::Version;
use xr_stack::{Manifest, Resolved, Site, WorkerList, inventory as workers, unfit};
use xr_trust::{KeyFile, Keys, SignedList};
use xr_version_resolver::version_file;

pub use mutate::Mutator;

/// What reads bytes from outside.
pub type Entry = fn(&[u8]);

/// All entries, by the name of their target and of their folder in `fuzz/corpus`.
pub const ENTRIES: [(&str, Entry); 11] = [
    ("env", env),
    ("env_merge", env_merge),
    ("version", version),
    ("version_file", version_file),
    ("manifest", manifest),
    ("journal", journal),
    ("generation", generation),
    ("compose", compose),
    ("keys", keys),
    ("signed_list", signed_list),
    ("inventory", inventory),
];

/// `.env`: what is parsed is written back byte for byte; a value that is set is read back, and nothing else has changed.
///
/// # Panics
/// When that does not hold.
pub fn env(data: &[u8]) {
    let Ok(file) = EnvFile::parse(data) else { return };
    assert_eq!(file.to_bytes(), data, "a parse and a write lose nothing");
    let keys: Vec<String> = file.keys().into_iter().map(str::to_owned).collect();
    for key in &keys {
        file.get(key);
    }
    file.pitfalls();
    file.duplicates();
    let mut edited = file.clone();
    let value = "a b/&$#'\"\\ü";
    if edited.set("XR_FUZZ", value).is_err() {
        return;
    }
    let again = EnvFile::parse(&edited.to_bytes()).expect("what was written can be read");
    assert_eq!(again.get("XR_FUZZ").map(|value| value.text).as_deref(), Some(value));
    if !keys.iter().any(|key| key == "XR_FUZZ") {
        for key in &keys {
            assert_eq!(again.get(key).map(|v| v.text), file.get(key).map(|v| v.text), "{key} stays");
        }
    }
}

/// `.env` and its template, parted by a zero byte: the admin's values win and no line of theirs is lost.
///
/// # Panics
/// When that does not hold.
pub fn env_merge(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (Some(current), Some(template)) = (parts.next(), parts.next()) else { return };
    let (Ok(current), Ok(template)) = (EnvFile::parse(current), EnvFile::parse(template)) else { return };
    let mut secrets = |_: &xr_env_writer::SecretRule| Secret::new("0123456789abcdef");
    let Ok(merged) = merge(&current, None, &template, &MergeRules::default(), &mut secrets) else { return };
    let merged = EnvFile::parse(&merged.file.to_bytes()).expect("what was merged can be read");
    for key in current.keys() {
        let (was, is) = (current.get(key).map(|v| v.text), merged.get(key).map(|v| v.text));
        assert!(is == was || is.as_deref() == Some("0123456789abcdef"), "{key}: {was:?} became {is:?}");
    }
}

/// A version: its spelling is kept, and it is no older and no newer than itself.
///
/// # Panics
/// When that does not hold.
pub fn version(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(version) = text.parse::<Version>() else { return };
    assert_eq!(version.as_str(), text);
    assert_eq!(version.cmp(&version), std::cmp::Ordering::Equal);
}

/// `VERSION`.
pub fn version_file(data: &[u8]) {
    let _ = version_file::parse("VERSION", data);
}

/// `xr.toml`, and the admin's `site.toml`.
///
/// # Panics
/// Never, or there is a fault.
pub fn manifest(data: &[u8]) {
    let dir = folder();
    write(&dir.path().join("xr.toml"), data);
    write(&dir.path().join("compose.yaml"), b"services: {a: {image: a}}\n");
    let _ = xr_stack::load(dir.path());
    if let Ok(site) = Site::read(&dir.path().join("xr.toml")) {
        site.to_toml().expect("what was read can be written");
    }
}

/// A run's journal.
pub fn journal(data: &[u8]) {
    let dir = folder();
    let home = Home::of(dir.path());
    write(&home.journals().join("20260102T030405Z-update-1.jsonl"), data);
    let _ = unfinished(&home);
    let _ = read_runs(&home);
}

/// A generation's record, and the pointer to it.
pub fn generation(data: &[u8]) {
    let dir = folder();
    let home = Home::of(dir.path());
    let generations = Generations::of(&home);
    write(&home.path().join("current"), data);
    let _ = generations.current();
    write(&generations.dir(1).join("generation.json"), data);
    let _ = generations.read(1);
    let _ = generations.all();
}

/// What `docker compose config` prints.
pub fn compose(data: &[u8]) {
    let _ = Resolved::parse(&String::from_utf8_lossy(data), &Manifest::default());
}

/// A file that should hold public keys.
pub fn keys(data: &[u8]) {
    let _ = Keys::read(vec![KeyFile { name: "key".to_owned(), bytes: data.to_vec() }]);
}

/// A release's signed list, and its signature: no key signed that.
///
/// # Panics
/// When one is accepted without a key.
pub fn signed_list(data: &[u8]) {
    if let Ok(list) = SignedList::parse("release.lock", data) {
        let _ = list.check_images(&[]);
        for file in list.files() {
            let _ = list.check_file(file, Some(data));
        }
    }
    assert!(SignedList::verify("release.lock", b"list", data, &Keys::default()).is_err());
}

/// An inventory of workers, in both forms: who is read can be listed, and is read from the list as he was.
///
/// # Panics
/// When that does not hold.
pub fn inventory(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in ["hosts.toml", "hosts"] {
        let Ok(read) = workers::parse(Path::new(name), text) else { continue };
        assert!(!read.is_empty() && read.iter().all(|worker| unfit(worker).is_none()), "{read:?}");
        let mut workers = WorkerList::parse("").expect("an empty list");
        for worker in &read {
            workers.put(worker);
        }
        let dir = folder();
        let path = dir.path().join("site.toml");
        write(&path, workers.text().as_bytes());
        let site = Site::read(&path).expect("what was listed can be read");
        assert_eq!(site.workers, read);
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder for temporary files")
}

fn write(path: &Path, data: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file's path")).expect("a folder");
    fs::write(path, data).expect("a file");
}
