//! `cargo xtask demo`: the main job on the example, on real containers. The program that shows it is `xr-demo`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use duct::cmd;
use xr_lab::{Layout, cargo};

#[derive(Args)]
pub(crate) struct Demo {
    /// The binary to show; else one is built
    #[arg(long, value_name = "FILE")]
    xr: Option<PathBuf>,
}

pub(crate) fn run(options: &Demo) -> Result<()> {
    println!("building xr and the demo's images where they are missing: some minutes the first time; then the demo");
    let xr = match &options.xr {
        Some(xr) => xr.canonicalize().with_context(|| format!("no such file: {}", xr.display()))?,
        None => release("xr"),
    };
    // both packages in each call, as install.sh does: what they share is compiled once
    let both = ["build", "--release", "--locked", "--package", "xr", "--package", "xr-demo"];
    let only: &[&str] = if options.xr.is_some() { &["--bin", "xr-demo"] } else { &[] };
    cargo(&[&both, only].concat()).run()?;
    cmd!(release("xr-demo"), "show", xr).run()?;
    Ok(())
}

fn release(program: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Layout::workspace().join(Path::new(&target)).join("release").join(program)
}
