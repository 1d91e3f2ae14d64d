//! `cargo xtask tidy`: what holds of the house as a whole and no compiler checks.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use duct::cmd;
use serde_json::Value;
use xr_lab::Layout;

/// The floor of each crate. A crate imports only floors below its own; `docs/ARCHITECTURE.md` says why.
const FLOORS: [(&str, u8); 17] = [
    ("xr-model", 0),
    ("xr-plan", 1),
    ("xr-journal", 1),
    ("xr-host", 1),
    ("xr-stack", 2),
    ("xr-preflight", 2),
    ("xr-version-resolver", 2),
    ("xr-env-writer", 2),
    ("xr-image-puller", 2),
    ("xr-trust", 2),
    ("xr-worker-bootstrap", 2),
    ("xr-session", 3),
    ("xr-release", 4),
    ("xr-workers", 4),
    ("xr-engine", 5),
    ("xr-doctor", 6),
    ("xr", 7),
];

/// Checks everything; the first broken rule is the error.
pub(crate) fn run() -> Result<()> {
    floors()?;
    versions()
}

fn floors() -> Result<()> {
    let metadata = cmd!("cargo", "metadata", "--format-version", "1", "--no-deps").dir(Layout::workspace()).read()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(floor) = floors.get(name) else { continue };
        let normal = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"].is_null());
        for below in normal.filter_map(|d| d["name"].as_str()) {
            if floors.get(below).is_some_and(|other| other >= floor) {
                bail!("{name} (floor {floor}) imports {below}: a crate imports only floors below its own");
            }
        }
    }
    Ok(())
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
