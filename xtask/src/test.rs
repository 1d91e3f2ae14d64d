//! `cargo xtask test`: what must hold before a change is done. The lab lives exactly as long as its tests.

use anyhow::{Context, Result, bail};
use clap::Args;
use xr_lab::{Lab, Layout, cargo};

use crate::crash::Crash;

/// Tests whose binary is called `lab` need the lab: `crates/*/tests/lab/`.
const NEEDS_LAB: &str = "kind(test) and binary(lab)";

#[derive(Args)]
pub(crate) struct Test {
    /// Leave out the tests that need the lab
    #[arg(long)]
    no_lab: bool,
    /// Only the tests that need the lab
    #[arg(long, conflicts_with = "no_lab")]
    lab_only: bool,
    /// Passed on to nextest, for example a part of a test's name
    #[arg(last = true)]
    nextest: Vec<String>,
}

pub(crate) fn run(options: &Test) -> Result<()> {
    let layout = Layout::from_env()?;
    xr_lab::setup(&layout)?;
    if !options.lab_only {
        crate::tidy::run()?;
        must(&["fmt", "--all", "--check"])?;
        must(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
        nextest(&format!("not ({NEEDS_LAB})"), &options.nextest)?;
    }
    if !options.no_lab {
        let _lab = Lab::up(layout.root())?;
        nextest(NEEDS_LAB, &options.nextest)?;
        if options.nextest.is_empty() {
            eprintln!("xtask: crash");
            crate::crash::run(&Crash::sample())?;
        }
    }
    Ok(())
}

fn nextest(filter: &str, more: &[String]) -> Result<()> {
    if !cargo(&["nextest", "--version"]).stdout_null().stderr_null().unchecked().run()?.status.success() {
        eprintln!("xtask: cargo-nextest is not installed; installing it");
        must(&["install", "--locked", "cargo-nextest"])?;
    }
    let mut argv = vec!["nextest", "run", "--workspace", "--no-tests=pass", "--no-fail-fast", "-E", filter];
    argv.extend(more.iter().map(String::as_str));
    must(&argv)
}

fn must(argv: &[&str]) -> Result<()> {
    let title = format!("cargo {}", argv.join(" "));
    eprintln!("xtask: {title}");
    let output = cargo(argv).unchecked().run().with_context(|| title.clone())?;
    if !output.status.success() {
        bail!("{title}: {}", output.status);
    }
    Ok(())
}
