//! A slow line before a host's sshd: a relay that lets every byte come later, and not too many at a time.
//!
//! The kernel's own means for this (netem) is not in every kernel. The relay stands in the way without a change of address:
//! the machine's firewall sends connections for the host's port 22 to it. What it cannot delay is the opening of the TCP
//! connection itself, which is the relay's own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use duct::{Expression, cmd};

use super::Host;
use crate::shell::run;

/// Where the relay reaches the host's sshd, past its own rule.
const BACK_DOOR: u16 = 2222;
/// How much may be under way in each direction of a connection.
const PIECES: usize = 64;
const PIECE: usize = 16 * 1024;

/// A host is reached quickly again when this is dropped; connections that it relays go on.
#[derive(Debug)]
pub struct SlowLine {
    rule: Vec<String>,
}

impl SlowLine {
    pub(super) fn before(host: &Host, delay: Duration, bytes_per_second: u32) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let back_door = format!("--dport={BACK_DOOR}");
        let redirect = ["-t", "nat", "-I", "PREROUTING", "-p", "tcp", &back_door, "-j", "REDIRECT", "--to-ports=22"];
        host.on_wire(&[&["iptables", "-w"], redirect.as_slice()].concat())?;
        let upstream = (host.address.clone(), BACK_DOOR);
        std::thread::spawn(move || {
            let lanes = [Lane::of(bytes_per_second), Lane::of(bytes_per_second)];
            for client in listener.incoming().flatten() {
                let Ok(host) = TcpStream::connect(&upstream) else { continue };
                let _ = relay(&client, &host, &lanes[0], delay).and_then(|()| relay(&host, &client, &lanes[1], delay));
            }
        });
        let line = Self {
            rule: format!("OUTPUT -p tcp -d {} --dport 22 -j REDIRECT --to-ports {port}", host.address)
                .split(' ')
                .map(str::to_owned)
                .collect(),
        };
        run("iptables", line.iptables("-I"))?;
        Ok(line)
    }

    fn iptables(&self, how: &str) -> Expression {
        let argv = ["-w", "-t", "nat", how].into_iter().map(str::to_owned).chain(self.rule.iter().cloned());
        cmd("iptables", argv)
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        // One that is left goes with the lab.
        let _ = run("iptables", self.iptables("-D"));
    }
}

/// One direction of the line, which all connections share.
#[derive(Clone)]
struct Lane {
    bytes_per_second: u32,
    /// When it has sent all that it was given.
    idle: Arc<Mutex<Instant>>,
}

impl Lane {
    fn of(bytes_per_second: u32) -> Self {
        Self { bytes_per_second, idle: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Waits until this many more bytes have passed.
    fn pass(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second));
        let until = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            *idle = (*idle).max(Instant::now()) + takes;
            *idle
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

type Piece = (Instant, Vec<u8>);

fn relay(from: &TcpStream, to: &TcpStream, lane: &Lane, delay: Duration) -> std::io::Result<()> {
    let (mut from, mut to, lane) = (from.try_clone()?, to.try_clone()?, lane.clone());
    let (sender, receiver): (SyncSender<Piece>, Receiver<Piece>) = sync_channel(PIECES);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count) = from.read(&mut piece) {
            if count == 0 || sender.send((Instant::now() + delay, piece[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok((due, piece)) = receiver.recv() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            lane.pass(piece.len());
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    Ok(())
}
