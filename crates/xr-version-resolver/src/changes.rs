//! The admin's own changes to tracked files.

use xr_model::{Fault, Result};

use crate::Checkout;

impl Checkout {
    /// Tracked files that are modified, deleted or staged, leaving out `except`: paths that xr itself manages (a
    /// trailing `/` means all below). A changed file mode alone does not count.
    ///
    /// # Errors
    /// When git fails.
    pub fn local_changes(&self, except: &[&str]) -> Result<Vec<String>> {
        let cmd = self.git([
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=no",
            "--ignore-submodules=all",
            "--no-renames",
        ]);
        let output = self.must("list local changes", &cmd)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let paths = text.split('\0').filter_map(|entry| entry.get(3..)).map(str::to_owned);
        Ok(paths.filter(|path| !is_managed(path, except)).collect())
    }

    /// Refuses when there are [`Checkout::local_changes`].
    ///
    /// # Errors
    /// A fault that lists up to five of the files.
    pub fn refuse_local_changes(&self, except: &[&str]) -> Result<()> {
        let changed = self.local_changes(except)?;
        if changed.is_empty() { Ok(()) } else { Err(self.changed_fault("local changes in", &changed, "stash")) }
    }

    /// The fault that `paths` stand in the way of an update, and the git command that puts them aside.
    pub(crate) fn changed_fault(&self, what: &str, paths: &[String], aside: &str) -> Fault {
        let root = xr_model::shell(&self.root);
        let shown = paths.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if paths.len() > 5 { format!(" and {} more", paths.len() - 5) } else { String::new() };
        Fault::new(format!("{what} {root}: {shown}{more}")).hint(format!("git -C {root} {aside}"))
    }
}

/// Whether `path` is one of `managed`, or below one that ends in `/`.
pub(crate) fn is_managed(path: &str, managed: &[&str]) -> bool {
    managed.iter().any(|own| path == *own || (own.ends_with('/') && path.starts_with(own)))
}
