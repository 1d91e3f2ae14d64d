//! `cargo xtask bench`: speed as a ratio to something measured in the same run, and what a plan for many workers costs.

pub(crate) mod load;
mod quick;
pub(crate) mod stack;
mod update;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use xr_lab::{Lab, Layout, cargo};

#[derive(Args)]
pub(crate) struct Bench {
    /// One of them; all when not given
    #[arg(value_enum)]
    which: Option<Which>,
    /// How often each quick command is timed
    #[arg(long, default_value_t = 21)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Short commands beside what they cannot avoid
    Quick,
    /// An update under load: xr, compose, a stop–pull–start script
    Update,
    /// A plan for up to 100,000 workers: its time, its linter's, its memory; needs no lab
    Plan,
}

pub(crate) fn run(options: &Bench) -> Result<()> {
    let wanted = |which| options.which.is_none_or(|only| only == which);
    if wanted(Which::Plan) {
        cargo(&["run", "--release", "--quiet", "--locked", "--package", "xr-plan", "--example", "scale"]).run()?;
    }
    if !wanted(Which::Quick) && !wanted(Which::Update) {
        return Ok(());
    }
    let lab = Lab::attach_or_up()?;
    let xr = release_binary()?;
    if wanted(Which::Quick) {
        quick::run(&lab, &xr, options.runs)?;
    }
    if wanted(Which::Update) {
        update::run(&lab, &xr)?;
    }
    Ok(())
}

/// The binary that users get.
pub(crate) fn release_binary() -> Result<PathBuf> {
    cargo(&["build", "--release", "--quiet", "--locked", "--package", "xr"]).run()?;
    Ok(Layout::workspace().join("target/release/xr"))
}
