//! The releases of the example product. What sets one apart from the next is data: trees in `releases/` laid over it.

use std::path::Path;

use anyhow::{Context, Result};
use duct::cmd;

use crate::Layout;
use crate::shell::run;

/// One tagged version of the example product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The tag.
    pub version: &'static str,
    /// What the publisher wrote into the commit.
    pub summary: &'static str,
    /// Directories of `releases/`, laid over the example in this order.
    overlays: &'static [&'static str],
    /// Whether CI ever pushed images for the tag.
    pub images: bool,
}

/// All of them, oldest first.
pub const RELEASES: &[Release] = &[
    Release { version: "v1.0.0", summary: "first release", overlays: &[], images: true },
    Release { version: "v1.1.0", summary: "visits know their source", overlays: &["v1.1.0"], images: true },
    Release {
        version: "v1.2.0",
        summary: "new scan rules", // never gets healthy
        overlays: &["v1.1.0", "never-healthy"],
        images: true,
    },
    Release {
        version: "v1.2.1",
        summary: "result cache", // becomes healthy, crashes three seconds later
        overlays: &["v1.1.0", "crash-after-healthy"],
        images: true,
    },
    Release { version: "v1.3.0", summary: "faster lists", overlays: &["v1.1.0", "v1.3.0"], images: true },
    Release { version: "v1.4.0", summary: "scan queue", overlays: &["v1.1.0", "v1.3.0"], images: false },
];

impl Release {
    /// The release with this tag.
    pub fn find(version: &str) -> Result<&'static Self> {
        RELEASES
            .iter()
            .find(|release| release.version == version)
            .with_context(|| format!("the example product has no release {version}"))
    }

    /// Writes the release's tree over `dest`. `VERSION` is left as it is there: CI changes it, and only later.
    pub(crate) fn write_tree(&self, dest: &Path) -> Result<()> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("releases");
        let kept = std::fs::read(dest.join("VERSION")).ok();
        copy_over(&Layout::example(), dest)?;
        for overlay in self.overlays {
            copy_over(&data.join(overlay), dest)?;
        }
        if let Some(version) = kept {
            std::fs::write(dest.join("VERSION"), version)?;
        }
        Ok(())
    }
}

fn copy_over(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    run("copy tree", cmd!("cp", "-a", "--no-preserve=ownership", format!("{}/.", from.display()), to)).map(drop)
}
