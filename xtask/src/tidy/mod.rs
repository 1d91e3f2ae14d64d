//! `cargo xtask tidy`: what holds of the house as a whole and no compiler checks.

mod circles;
mod crates;
mod modules;
mod words;

use anyhow::{Context, Result, bail};
use xr_lab::Layout;

use crate::generate::{self, Generate};

/// Checks everything; the first broken rule is the error.
pub(crate) fn run() -> Result<()> {
    let crates = crates::all()?;
    crates::check(&crates)?;
    for one in &crates {
        circles::check(one)?;
        words::check(one)?;
    }
    versions()?;
    generate::completions(&Generate::checked())?;
    generate::man(&Generate::checked())
}

/// VERSION is the one source; the crates and the changelog agree with it.
fn versions() -> Result<()> {
    let root = Layout::workspace();
    let read = |file: &str| std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let version = read("VERSION")?.trim().to_owned();
    if !read("Cargo.toml")?.contains(&format!("\nversion = \"{version}\"\n")) {
        bail!("Cargo.toml: [workspace.package] version is not VERSION's {version}");
    }
    let changelog = read("CHANGELOG.md")?;
    let mut entries = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let newest = entries.find(|entry| *entry != "Unreleased").unwrap_or_default();
    if newest.split_whitespace().next() != Some(&version) {
        bail!("CHANGELOG.md: its newest release is `{newest}`, VERSION says {version}");
    }
    Ok(())
}
