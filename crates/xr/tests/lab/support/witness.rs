//! Somebody who uses the stack all the time and writes down what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::request;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks for the version until it is told to end.
pub struct Witness {
    enough: Arc<AtomicBool>,
    seen: JoinHandle<Vec<String>>,
}

impl Witness {
    pub fn of(port: u16) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let stop = enough.clone();
        let seen = std::thread::spawn(move || {
            let mut seen: Vec<String> = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let answer = request("127.0.0.1", port, "GET", "/api/").and_then(|answer| answer.text("version"));
                let said = answer.unwrap_or_else(|error| format!("{error:#}"));
                if seen.last() != Some(&said) {
                    seen.push(said);
                }
                std::thread::sleep(PAUSE);
            }
            seen
        });
        Self { enough, seen }
    }

    /// What it was answered, or why it was not; the same in a row counts once.
    pub fn end(self) -> Result<Vec<String>> {
        self.enough.store(true, Ordering::SeqCst);
        self.seen.join().map_err(|_| anyhow!("the witness died"))
    }
}
