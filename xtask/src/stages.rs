//! What a run of all tests consists of, and how long each part took: whoever makes it slower sees it.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The parts so far.
pub(crate) struct Stages {
    begun: Instant,
    done: Vec<(String, Duration)>,
}

impl Stages {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), done: Vec::new() }
    }

    /// Runs a part and keeps its time, also when it fails.
    pub fn run<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let result = work();
        let failed = if result.is_ok() { "" } else { "  FAILED" };
        self.done.push((format!("{title}{failed}"), begun.elapsed()));
        result
    }

    /// The table.
    pub fn print(&self) {
        eprintln!("\n{:<44} {:>8}", "stage", "min:s");
        for (title, time) in self.done.iter().chain([&("all of it".to_owned(), self.begun.elapsed())]) {
            eprintln!("{title:<44} {:>5}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
        }
    }
}
