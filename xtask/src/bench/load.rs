//! A steady, bounded HTTP load on one port of this machine: several clients, each asking again as soon as it was answered.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const CLIENTS: usize = 4;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(5);
/// A load ends by itself after this.
const LONGEST: Duration = Duration::from_secs(180);

/// What the load saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Requests answered with 200.
    pub good: u64,
    /// All others.
    pub bad: u64,
    /// The longest time in which no client had a good answer.
    pub gap: Duration,
    /// The longest time that one good answer took.
    pub slowest: Duration,
}

/// A load under way.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Request>>>,
    begun: Instant,
}

/// One request, by when it was sent and ended.
#[derive(Clone, Copy)]
struct Request {
    sent: Instant,
    ended: Instant,
    good: bool,
}

impl Load {
    /// Begins asking for `/api/` on a loopback port.
    pub fn begin(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let client = |_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut requests = Vec::new();
                while !stop.load(Ordering::SeqCst) && begun.elapsed() < LONGEST {
                    let sent = Instant::now();
                    let good = ask(port);
                    requests.push(Request { sent, ended: Instant::now(), good });
                    std::thread::sleep(PAUSE);
                }
                requests
            })
        };
        Self { clients: (0..CLIENTS).map(client).collect(), stop, begun }
    }

    /// Ends it.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        let mut all: Vec<Request> = self.clients.into_iter().flat_map(|c| c.join().unwrap_or_default()).collect();
        all.sort_by_key(|request| request.ended);
        let end = Instant::now();
        let mut seen = Seen::default();
        let mut last = self.begun;
        for request in all {
            if request.good {
                seen.good += 1;
                seen.gap = seen.gap.max(request.ended - last);
                seen.slowest = seen.slowest.max(request.ended - request.sent);
                last = request.ended;
            } else {
                seen.bad += 1;
            }
        }
        Seen { gap: seen.gap.max(end - last), ..seen }
    }
}

/// One request; whether it was answered with 200.
pub(crate) fn ask(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(b"GET /api/ HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.split_whitespace().nth(1) == Some("200"))
    };
    answer().unwrap_or(false)
}
