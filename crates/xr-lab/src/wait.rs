//! Waiting on a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks `ready` every 20 ms until it says yes; after `limit` it fails naming `what`.
pub fn wait_for(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
