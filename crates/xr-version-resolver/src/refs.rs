//! Refs read from git's files, which costs no process; a repository with another ref store simply has none here.

use std::{fs, path::Path};

/// The object that the full ref `name` is at: its loose file, else its line in `packed-refs`.
pub(crate) fn read(common_dir: &Path, name: &str) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..5 {
        let Ok(text) = fs::read_to_string(common_dir.join(&name)) else { break };
        match text.trim().strip_prefix("ref: ") {
            Some(next) => name = next.to_owned(),
            None => return is_object_id(text.trim()).then(|| text.trim().to_owned()),
        }
    }
    let packed = fs::read_to_string(common_dir.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| {
        let (object, packed_name) = line.split_once(' ')?;
        (packed_name == name && is_object_id(object)).then(|| object.to_owned())
    })
}

/// Whether `text` is a full object id (SHA-1 or SHA-256).
pub(crate) fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The first twelve characters of an object id, for messages.
pub(crate) fn short(object: &str) -> &str {
    object.get(..12).unwrap_or(object)
}
