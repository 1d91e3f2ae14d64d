//! What a file system refuses, said so that an admin can act on it.

use std::{io, path::Path};

use xr_model::{Fault, shell};

/// A fault that names what could not be done (`read`, `write`, …) to `path`, with what helps against the cause.
pub(crate) fn refused(verb: &str, path: &Path, error: io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some(format!("free some space: df -h {}", shell(&path.parent().unwrap_or(path))))
        }
        io::ErrorKind::PermissionDenied => Some("run xr as the stack's owner, or with sudo".to_owned()),
        io::ErrorKind::ReadOnlyFilesystem => Some(format!(
            "dmesg tells why, when nobody meant it; then: mount -o remount,rw \"$(findmnt -nT {} -o TARGET)\"",
            shell(&path.parent().unwrap_or(path))
        )),
        _ => None,
    };
    let fault = Fault::new(format!("cannot {verb} {}", path.display())).because(error);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
