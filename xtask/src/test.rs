//! `cargo xtask test`: what must hold before a change is done. The lab lives exactly as long as its tests.

use anyhow::{Context, Result, bail};
use clap::Args;
use xr_lab::{EngineRelease, Layout, Sandbox, cargo, plain};

use crate::stages::Stages;

/// Tests in the binaries called `lab` need the lab: `crates/*/tests/lab/`.
const NEEDS_LAB: &str = "kind(test) and binary(lab)";

#[derive(Args)]
pub(crate) struct Test {
    /// Leave out the tests that need the lab
    #[arg(long)]
    no_lab: bool,
    /// Only the tests that need the lab
    #[arg(long, conflicts_with = "no_lab")]
    lab_only: bool,
    /// The engines that the lab's tests run on: `cargo xtask lab engines` lists them
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    engine: Vec<String>,
    /// Passed on to nextest, for example a part of a test's name
    #[arg(last = true)]
    nextest: Vec<String>,
}

/// What is shown on the newest engine too, in every run: names of tests, or parts of them.
const ON_NEWEST: &str = "test(an_update_replaces_what_changed) or test(a_release_that_never_gets_healthy) \
     or test(a_product_of_another_shape) or test(a_rollback_needs_neither)";
const NEWEST: &str = "28.5";

pub(crate) fn run(options: &Test) -> Result<()> {
    let mut stages = Stages::begin();
    let done = all(options, &mut stages);
    stages.print();
    done
}

fn all(options: &Test, stages: &mut Stages) -> Result<()> {
    let chosen = !options.nextest.is_empty();
    stages.run("packages and engine", || xr_lab::prepare(&Layout::from_env()?))?;
    if !options.lab_only && options.engine.is_empty() {
        stages.run("tidy, format, lints", || {
            crate::tidy::run()?;
            must(&["fmt", "--all", "--check"])?;
            must(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        })?;
        stages.run("compile the tests", || nextest(&["--no-run"], None))?;
        stages.run("unit tests", || nextest(&filtered(&format!("not ({NEEDS_LAB})"), &options.nextest), None))?;
    }
    if options.no_lab {
        return Ok(());
    }
    if options.engine.is_empty() {
        on_engine(options, stages, None, NEEDS_LAB)?;
        if !chosen {
            on_engine(options, stages, Some(NEWEST), &format!("{NEEDS_LAB} and ({ON_NEWEST})"))?;
        }
    }
    for engine in &options.engine {
        on_engine(options, stages, Some(engine), NEEDS_LAB)?;
    }
    Ok(())
}

/// A lab with this engine, or the usual one, as long as its tests take.
fn on_engine(options: &Test, stages: &mut Stages, engine: Option<&str>, filter: &str) -> Result<()> {
    let layout = match engine {
        Some(name) => Layout::with(EngineRelease::find(name)?)?,
        None => Layout::from_env()?,
    };
    let name = layout.engine().name;
    xr_lab::prepare(&layout)?;
    let sandbox = Sandbox::owned(&layout)?;
    stages.run(&format!("lab {name}: start, images"), || {
        let this = std::env::current_exe()?.display().to_string();
        Ok(sandbox.command(&[&this, "lab", "build"])?.run().map(drop)?)
    })?;
    stages.run(&format!("lab {name}: tests"), || nextest(&filtered(filter, &options.nextest), Some(&sandbox)))?;
    if engine.is_none() && options.nextest.is_empty() {
        stages.run("crash certificate", || {
            let this = std::env::current_exe()?.display().to_string();
            Ok(sandbox.command(&[&this, "crash", "--sample"])?.run().map(drop)?)
        })?;
    }
    Ok(())
}

fn filtered<'a>(filter: &'a str, more: &'a [String]) -> Vec<&'a str> {
    let argv = ["--no-tests=pass", "--no-fail-fast", "-E", filter];
    argv.into_iter().chain(more.iter().map(String::as_str)).collect()
}

fn nextest(more: &[&str], sandbox: Option<&Sandbox>) -> Result<()> {
    if !cargo(&["nextest", "--version"]).stdout_null().stderr_null().unchecked().run()?.status.success() {
        eprintln!("xtask: cargo-nextest is not installed; installing it");
        must(&["install", "--locked", "cargo-nextest"])?;
    }
    let argv = [&["nextest", "run", "--workspace"], more].concat();
    match sandbox {
        None => must(&argv),
        Some(sandbox) => ended_well(&argv, plain(sandbox.command(&[&["cargo"], argv.as_slice()].concat())?)),
    }
}

fn must(argv: &[&str]) -> Result<()> {
    ended_well(argv, cargo(argv))
}

fn ended_well(argv: &[&str], command: duct::Expression) -> Result<()> {
    let title = format!("cargo {}", argv.join(" "));
    eprintln!("xtask: {title}");
    let output = command.unchecked().run().with_context(|| title.clone())?;
    if !output.status.success() {
        bail!("{title}: {}", output.status);
    }
    Ok(())
}
