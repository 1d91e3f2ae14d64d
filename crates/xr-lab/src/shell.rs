//! Running a program to its end and explaining a failure.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use duct::Expression;

/// Runs to the end; the answer is standard output without its last newline.
/// A failure carries the last lines of both streams.
pub(crate) fn run(what: &str, command: Expression) -> Result<String> {
    let output = command
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .with_context(|| format!("cannot start: {what}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.trim_end().to_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!("{what}: {}\n{}\n{}", output.status, tail(&stdout), tail(&stderr))
}

/// Says on stderr what is being done and how long it took: a lab that builds for a minute must not look hung.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work();
    #[allow(clippy::print_stderr, reason = "the lab is a developer's tool without a renderer")]
    {
        let sign = if result.is_ok() { "" } else { " FAILED" };
        eprintln!("lab: {title}{sign} ({:.1} s)", start.elapsed().as_secs_f32());
    }
    result
}

/// Work that fetches packages: a mirror or a name server that does not answer for a moment is asked again, twice.
pub(crate) fn patiently<T>(work: impl Fn() -> Result<T>) -> Result<T> {
    for pause in [3, 10] {
        if let Ok(done) = work() {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_secs(pause));
    }
    work()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
