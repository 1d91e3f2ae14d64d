//! The lab's locks.

use std::fs::File;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::Layout;

/// Waits for a lock of the lab's; it ends with the file.
pub(crate) fn lock_file(layout: &Layout, name: &str) -> Result<File> {
    let path = layout.join(name);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
