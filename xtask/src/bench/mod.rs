//! `cargo xtask bench`: speed as a ratio to something measured in the same run, and what a plan for many workers costs.

mod fleet;
mod images;
pub(crate) mod load;
mod quick;
pub(crate) mod stack;
mod update;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use xr_lab::{Kex, Lab, Layout, cargo};

#[derive(Args)]
pub(crate) struct Bench {
    /// One of them; quick, update and plan when not given
    #[arg(value_enum)]
    which: Option<Which>,
    /// How often each command is timed: 21 times for quick, 5 times for fleet when not given
    #[arg(long)]
    runs: Option<usize>,
    /// Sizes of the fleet
    #[arg(long, value_delimiter = ',', default_value = "10,50,100,200")]
    hosts: Vec<usize>,
    /// Another xr, an older one for example, which quick and update measure too, in the same run
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
    /// The fleet's key exchange: what OpenSSH prefers, or the cheap one
    #[arg(long, value_enum, default_value = "default")]
    kex: KeyExchange,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Short commands beside what they cannot avoid
    Quick,
    /// An update under load: xr, compose, a stop–pull–start script
    Update,
    /// Many workers over SSH: xr, bare ssh, Ansible, parallel-ssh
    Fleet,
    /// A plan for up to 100,000 workers: its time, its linter's, its memory; needs no lab
    Plan,
    /// A new version of an image to several workers: xr, a registry, save and load
    Images,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyExchange {
    Default,
    Curve25519,
}

pub(crate) fn run(options: &Bench) -> Result<()> {
    let wanted = |which| options.which.is_none_or(|only| only == which);
    if wanted(Which::Plan) {
        cargo(&["run", "--release", "--quiet", "--locked", "--package", "xr-plan", "--example", "scale"]).run()?;
    }
    if options.which == Some(Which::Plan) {
        return Ok(());
    }
    let lab = Lab::attach_or_up()?;
    if options.which == Some(Which::Images) {
        return images::run(&lab);
    }
    let xr = release_binary()?;
    if wanted(Which::Quick) {
        quick::run(&lab, &xr, options.against.as_deref(), options.runs.unwrap_or(21))?;
    }
    if wanted(Which::Update) {
        update::run(&lab, &xr, options.against.as_deref())?;
    }
    if options.which == Some(Which::Fleet) {
        let kex = match options.kex {
            KeyExchange::Default => Kex::Default,
            KeyExchange::Curve25519 => Kex::Curve25519,
        };
        fleet::run(&lab, &xr, &options.hosts, options.runs.unwrap_or(5), kex)?;
    }
    Ok(())
}

/// The binary that users get.
pub(crate) fn release_binary() -> Result<PathBuf> {
    cargo(&["build", "--release", "--quiet", "--locked", "--package", "xr"]).run()?;
    Ok(Layout::workspace().join("target/release/xr"))
}
