//! Values for the shell: versions and generations of the stack one stands in, without the network.

use clap_complete::CompletionCandidate;
use xr_journal::{Generations, Home};
use xr_model::Generation;
use xr_version_resolver::Checkout;

/// The stack one stands in.
pub fn root() -> Option<std::path::PathBuf> {
    match std::env::var_os("XR_STACK") {
        Some(dir) => Some(dir.into()),
        None => xr_stack::find_root(&std::env::current_dir().ok()?).ok(),
    }
}

/// Versions that the clone knows, newest first.
pub fn versions() -> Vec<CompletionCandidate> {
    let known = || Checkout::open(&root()?).ok()??.local_versions().ok();
    known().unwrap_or_default().into_iter().map(|version| CompletionCandidate::new(version.to_string())).collect()
}

fn all() -> Vec<Generation> {
    root().and_then(|root| Generations::of(&Home::of(&root)).all().ok()).unwrap_or_default()
}

/// Versions that can be rolled back to.
pub fn kept_versions() -> Vec<CompletionCandidate> {
    all().into_iter().rev().map(|g| CompletionCandidate::new(g.version.to_string())).collect()
}

/// Generations that can be rolled back to.
pub fn generations() -> Vec<CompletionCandidate> {
    let describe =
        |g: Generation| CompletionCandidate::new(g.number.to_string()).help(Some(g.version.to_string().into()));
    all().into_iter().rev().map(describe).collect()
}

/// Workers of the stack.
pub fn workers() -> Vec<CompletionCandidate> {
    let site = root().and_then(|root| xr_stack::Site::read(&Home::of(&root).site()).ok()).unwrap_or_default();
    site.workers.into_iter().map(|worker| CompletionCandidate::new(worker.name).help(Some(worker.ssh.into()))).collect()
}
