//! What a file system refuses, said so that an admin can act on it.

use std::{io, path::Path};

use xr_model::{Fault, shell};

/// A fault that names what could not be done (`read`, `write`, …) to `path`, with what helps against the cause.
pub(crate) fn refused(verb: &str, path: &Path, error: io::Error) -> Fault {
    let folder = shell(if path.is_dir() { path } else { path.parent().unwrap_or(path) });
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!("free some space: df -h {folder}")),
        io::ErrorKind::PermissionDenied => Some("run xr as the stack's owner, or with sudo".to_owned()),
        io::ErrorKind::ReadOnlyFilesystem => Some(format!(
            "dmesg tells why, when nobody meant it; then: mount -o remount,rw \"$(findmnt -nT {folder} -o TARGET)\""
        )),
        _ => None,
    };
    let fault = Fault::new(format!("cannot {verb} {}", path.display())).because(error);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
