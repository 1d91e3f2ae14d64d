//! A git remote behind a real network protocol, and what a network does to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::GitRemote;

#[derive(Default)]
struct State {
    /// How many bytes a connection gets.
    bytes: Option<usize>,
    /// Connections so far.
    asked: usize,
    /// Counts what the server was told: a connection that stalls ends when it is told anything else.
    told: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, bytes: Option<usize>) {
        let mut state = self.state();
        *state = State { bytes, asked: 0, told: state.told + 1 };
        self.news.notify_all();
    }
}

/// `git daemon` for one remote, on loopback until the process ends.
pub struct GitServer {
    port: u16,
    shared: Arc<Shared>,
}

impl GitServer {
    /// Serves this remote.
    ///
    /// # Errors
    /// When no port is left.
    pub fn of(remote: &GitRemote) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let (state, path) = (shared.clone(), remote.path().display().to_string());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, path) = (state.clone(), path.clone());
                std::thread::spawn(move || serve(client, &path, &state));
            }
        });
        Ok(Self { port, shared })
    }

    /// `host:port/path`, after `git://`. When it says nothing it does so in any protocol.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}/orbit.git", self.port)
    }

    /// From now on every connection stalls after this many bytes from the remote, and stays.
    pub fn stall_after(&self, bytes: usize) {
        self.shared.tell(Some(bytes));
    }

    /// No more trouble.
    pub fn behave(&self) {
        self.shared.tell(None);
    }

    /// Connections since it was told anything.
    pub fn asked(&self) -> usize {
        self.shared.state().asked
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.behave();
    }
}

fn serve(client: TcpStream, path: &str, shared: &Shared) -> Result<()> {
    let (mut left, told) = {
        let mut state = shared.state();
        state.asked += 1;
        (state.bytes, state.told)
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
            drop(shared.news.wait_while(shared.state(), |state| state.told == told));
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
