//! The farm's hosts are this machine: where each looks for its engine, it finds the lab's.

use std::path::Path;

use anyhow::{Context, Result};
use xr_lab::Lab;

const SOCKET: &str = "/var/run/docker.sock";

/// A link at the place of Docker's socket, as long as this lives.
pub(super) struct DefaultSocket(());

impl DefaultSocket {
    /// An engine that has the place already keeps it, and is asked in place of the lab's.
    pub fn link(lab: &Lab) -> Result<Option<Self>> {
        let socket = Path::new(SOCKET);
        match socket.metadata() {
            // What an engine makes where a container is to have a socket that is not there.
            Ok(meta) if meta.is_dir() => {
                std::fs::remove_dir(socket).with_context(|| format!("{SOCKET} is a folder"))?
            }
            Ok(_) => return Ok(None),
            // What a killed bench has left leads nowhere.
            Err(_) => drop(std::fs::remove_file(socket)),
        }
        std::os::unix::fs::symlink(lab.engine().socket(), socket).with_context(|| format!("cannot link {SOCKET}"))?;
        Ok(Some(Self(())))
    }
}

impl Drop for DefaultSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(SOCKET);
    }
}
