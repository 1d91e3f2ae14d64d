//! A layer's tar, put together again to the last bit from its unpacked files and the record that the engine keeps of all
//! that is not in them: headers, padding, order (the format of github.com/vbatts/tar-split, version 1, lines of JSON).

use std::{
    io::{self, BufRead, Read, Write},
    path::{Component, Path},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

/// What comes next in the tar.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    name: Option<String>,
    /// A name that is not UTF-8.
    #[serde(default)]
    name_raw: Option<String>,
    /// Bytes of the file; none for what has no content.
    #[serde(default)]
    size: u64,
    /// The bytes of a segment; of a file a checksum.
    #[serde(default)]
    payload: Option<String>,
}

const FILE: u8 = 1;
const SEGMENT: u8 = 2;

/// Writes the tar that `record` describes; `open` opens one of its files, by its path inside the layer.
pub(super) fn assemble<F: Read>(
    record: impl BufRead,
    open: impl Fn(&Path) -> io::Result<F>,
    to: &mut dyn Write,
) -> io::Result<()> {
    for line in record.lines() {
        let entry: Entry = serde_json::from_str(&line?)?;
        match entry.kind {
            SEGMENT => to.write_all(&bytes(entry.payload.as_deref().unwrap_or_default())?)?,
            FILE if entry.size == 0 => {}
            FILE => {
                let name = match (entry.name, entry.name_raw) {
                    (Some(name), _) => name,
                    (None, raw) => String::from_utf8(bytes(raw.as_deref().unwrap_or_default())?).map_err(invalid)?,
                };
                let written = io::copy(&mut open(inside(Path::new(&name))?)?.take(entry.size), to)?;
                if written != entry.size {
                    return Err(invalid(format!("{name} has {written} of {} bytes", entry.size)));
                }
            }
            kind => return Err(invalid(format!("a record of kind {kind}"))),
        }
    }
    Ok(())
}

/// The path of a file in a layer, when it does not lead out of it.
fn inside(name: &Path) -> io::Result<&Path> {
    let name = name.strip_prefix("/").unwrap_or(name);
    match name.components().any(|part| matches!(part, Component::ParentDir | Component::RootDir)) {
        true => Err(invalid(format!("{} leads out of the layer", name.display()))),
        false => Ok(name),
    }
}

fn bytes(text: &str) -> io::Result<Vec<u8>> {
    BASE64_STANDARD.decode(text).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(record: &str) -> io::Result<String> {
        let mut tar = Vec::new();
        let open = |path: &Path| match path.to_str() {
            Some("a/file" | "./a/file") => Ok(&b"content and more"[..]),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        assemble(record.as_bytes(), open, &mut tar)?;
        Ok(String::from_utf8_lossy(&tar).into_owned())
    }

    #[test]
    fn segments_and_files_follow_each_other() {
        let record = r#"{"type":2,"payload":"aGVhZCA=","position":0}
{"type":1,"name":"a/","payload":null,"position":1}
{"type":1,"name":"./a/file","size":7,"payload":"AAAAAAAAAAA=","position":2}
{"type":2,"payload":"IHRhaWw=","position":3}
"#;
        assert_eq!(assembled(record).unwrap(), "head content tail");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for (record, why) in [
            (r#"{"type":1,"name":"a/file","size":70}"#, "16 of 70 bytes"),
            (r#"{"type":1,"name":"gone","size":7}"#, "not found"),
            (r#"{"type":1,"name":"../../a/file","size":7}"#, "leads out"),
            (r#"{"type":3}"#, "kind 3"),
            (r#"{"type":2,"payload":"*"}"#, "symbol"),
            ("{", "EOF"),
        ] {
            let error = assembled(record).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(&why.to_lowercase()), "{error}");
        }
    }
}
