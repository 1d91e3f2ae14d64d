//! A question to an engine's API, which costs nothing beside a client that is started for it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What the engine behind a socket answers to a GET within `patience`; `None` when there is no such thing.
///
/// # Errors
/// When it does not answer, or with a failure of its own.
pub(crate) fn ask(socket: &Path, path: &str, patience: Duration) -> Result<Option<String>> {
    let mut stream = UnixStream::connect(socket).context("the engine's socket")?;
    stream.set_read_timeout(Some(patience))?;
    // HTTP/1.0: the answer comes whole, and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| path.to_owned())?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{path}: no answer"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(body.to_owned())),
        Some("404") => Ok(None),
        _ => bail!("{path}: {head}\n{body}"),
    }
}

/// Whether an engine is there and answers at once.
pub(crate) fn answers(socket: &Path) -> bool {
    ask(socket, "/_ping", Duration::from_secs(2)).is_ok_and(|answer| answer.is_some())
}
