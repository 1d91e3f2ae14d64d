//! Every crate has a floor, imports only floors below its own, is no larger than one can know, and stands in `crates/README.md`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail};
use duct::cmd;
use serde_json::Value;
use xr_lab::Layout;

use super::modules::sources;

/// The floor of each crate; `docs/ARCHITECTURE.md` says why. Crates for developers stand beside the house.
const FLOORS: [(&str, Option<u8>); 24] = [
    ("xr-model", Some(0)),
    ("xr-plan", Some(1)),
    ("xr-journal", Some(1)),
    ("xr-host", Some(1)),
    ("xr-stack", Some(2)),
    ("xr-preflight", Some(2)),
    ("xr-version-resolver", Some(2)),
    ("xr-env-writer", Some(2)),
    ("xr-image-puller", Some(2)),
    ("xr-trust", Some(2)),
    ("xr-worker-bootstrap", Some(2)),
    ("xr-session", Some(3)),
    ("xr-release", Some(4)),
    ("xr-workers", Some(4)),
    ("xr-compose", Some(5)),
    ("xr-lifecycle", Some(6)),
    ("xr-doctor", Some(7)),
    ("xr", Some(8)),
    ("xr-demo", None),
    ("xr-faults", None),
    ("xr-fuzz", None),
    ("xr-lab", None),
    ("xr-sim", None),
    ("xtask", None),
];
/// Lines that a crate may have, tests in its `src/` among them.
const LINES: usize = 6_000;

/// A crate of the workspace.
pub(super) struct Crate {
    /// Its name.
    pub name: String,
    /// Its `src/`.
    pub src: PathBuf,
    /// The crates that it imports outside of tests.
    imports: Vec<String>,
}

/// The crates of the workspace, as cargo tells them.
pub(super) fn all() -> Result<Vec<Crate>> {
    let metadata = cmd!("cargo", "metadata", "--format-version", "1", "--no-deps").dir(Layout::workspace()).read()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let crates = packages.map(|package| {
        let normal = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"].is_null());
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        Crate {
            name: text(&package["name"]),
            src: manifest.with_file_name("src"),
            imports: normal.map(|dependency| text(&dependency["name"])).collect(),
        }
    });
    Ok(crates.collect())
}

/// Checks them.
pub(super) fn check(crates: &[Crate]) -> Result<()> {
    let floors: BTreeMap<&str, Option<u8>> = FLOORS.into_iter().collect();
    let readme = Layout::workspace().join("crates/README.md");
    let readme = std::fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    for one in crates {
        let name = one.name.as_str();
        let Some(floor) = floors.get(name) else { bail!("{name} has no floor: xtask/src/tidy/crates.rs") };
        for below in floor.iter().flat_map(|_| &one.imports) {
            match floors.get(below.as_str()) {
                Some(None) => bail!("{name} imports {below}, which is for developers"),
                Some(other) if other >= floor => bail!("{name} imports {below}, which is on no floor below its own"),
                _ => {}
            }
        }
        if name != "xtask" && !readme.contains(&format!("`{name}`")) {
            bail!("crates/README.md does not say what {name} is for");
        }
        let lines: usize = sources(&one.src)?.iter().map(|(_, text)| text.lines().count()).sum();
        if lines > LINES {
            bail!("{name} has {lines} lines, and nobody knows a crate of more than {LINES}");
        }
    }
    match FLOORS.iter().find(|(name, _)| !crates.iter().any(|one| one.name == *name)) {
        Some((gone, _)) => bail!("{gone} has a floor and is no crate of the workspace"),
        None => Ok(()),
    }
}
