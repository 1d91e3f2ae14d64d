//! A git remote behind a real network protocol, and what a network does to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::GitRemote;
use crate::loopback::{Loopback, Orders};

#[derive(Default)]
struct State {
    /// How many bytes a connection gets.
    bytes: Option<usize>,
    /// Connections so far.
    asked: usize,
}

/// `git daemon` for one remote, on loopback until the process ends.
pub struct GitServer {
    server: Loopback<State>,
}

impl GitServer {
    /// Serves this remote.
    ///
    /// # Errors
    /// When no port is left.
    pub fn of(remote: &GitRemote) -> Result<Self> {
        let path = remote.path().display().to_string();
        let server = Loopback::start(move |client, orders| serve(client, &path, orders))?;
        Ok(Self { server })
    }

    /// `host:port/path`, after `git://`. When it says nothing it does so in any protocol.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}/orbit.git", self.server.port)
    }

    /// From now on every connection stalls after this many bytes from the remote, and stays.
    pub fn stall_after(&self, bytes: usize) {
        self.server.orders.tell(State { bytes: Some(bytes), asked: 0 });
    }

    /// No more trouble.
    pub fn behave(&self) {
        self.server.orders.tell(State::default());
    }

    /// Connections since it was told anything.
    pub fn asked(&self) -> usize {
        self.server.orders.now().what.asked
    }
}

fn serve(client: TcpStream, path: &str, orders: &Orders<State>) -> Result<()> {
    let (mut left, told) = {
        let mut told = orders.now();
        told.what.asked += 1;
        (told.what.bytes, told.number)
    };
    let base = path.strip_suffix("/orbit.git").unwrap_or(path);
    let mut daemon = Command::new("git")
        .args(["daemon", "--inetd", "--export-all", &format!("--base-path={base}")])
        .stdin(OwnedFd::from(client.try_clone()?))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = daemon.stdout.take();
    let mut out = &client;
    let mut piece = [0; 8192];
    loop {
        if left == Some(0) {
            orders.hold(told);
            break;
        }
        let count = said.as_mut().map_or(Ok(0), |said| said.read(&mut piece))?;
        let count = left.map_or(count, |left| count.min(left));
        if count == 0 || out.write_all(&piece[..count]).is_err() {
            break;
        }
        left = left.map(|left| left - count);
    }
    drop(said);
    client.shutdown(std::net::Shutdown::Both).ok();
    daemon.wait()?;
    Ok(())
}
