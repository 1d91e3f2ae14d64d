//! Waiting on a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks `ready` every 20 ms until it says yes; after `limit` it fails naming `what`.
///
/// What takes its time to answer, such as a program that is started for it, is asked less often: whoever waits leaves the
/// machine to what is waited for.
pub fn wait_for(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        if ready() {
            return Ok(());
        }
        if start.elapsed() > limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20).max(8 * asked.elapsed()));
    }
}
