//! A steady, bounded HTTP load on one port of this machine.

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

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(2);
/// A load ends by itself after this.
const LONGEST: Duration = Duration::from_secs(180);

/// What the load saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Requests answered with 200.
    pub good: u64,
    /// All others.
    pub bad: u64,
    /// The longest time without a good answer.
    pub gap: Duration,
}

/// A load under way.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Load {
    /// Begins asking for `/api/` on a loopback port.
    pub fn begin(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let begun = Instant::now();
            let mut last = Instant::now();
            while !flag.load(Ordering::SeqCst) && begun.elapsed() < LONGEST {
                if ask(port) {
                    seen.good += 1;
                    seen.gap = seen.gap.max(last.elapsed());
                    last = Instant::now();
                } else {
                    seen.bad += 1;
                }
                std::thread::sleep(PAUSE);
            }
            Seen { gap: seen.gap.max(last.elapsed()), ..seen }
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_default()
    }
}

/// One request; whether it was answered with 200.
pub(super) fn ask(port: u16) -> bool {
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
