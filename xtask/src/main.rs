//! `cargo xtask`: the developer's commands, one file each.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: it starts programs and talks to a terminal"
)]

mod bench;
mod conform;
mod crash;
mod demo;
mod generate;
mod lab;
mod report;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "What a developer of xr runs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The test world: a real engine, registry and git remote
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Format, lints, unit tests, then the tests that need the lab
    Test(test::Test),
    /// Speed, as ratios measured in one run
    Bench(bench::Bench),
    /// Kill runs at every record and at random moments, on a real engine, beside compose
    Crash(crash::Crash),
    /// Compare what xr makes of stacks of every shape with what compose makes of them
    Conform(conform::Conform),
    /// Check crates, imports, versions and generated files
    Tidy,
    /// The main job on the example, on real containers: install, doctor, update, rollback
    Demo(demo::Demo),
    /// Write completions/ from the definition of the command line
    Completions(generate::Generate),
    /// Write docs/man/ from the definition of the command line
    Man(generate::Generate),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Lab(command) => lab::run(command),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Conform(options) => conform::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Tidy => tidy::run(),
        Command::Demo(options) => demo::run(&options),
        Command::Completions(options) => generate::completions(&options),
        Command::Man(options) => generate::man(&options),
    }
}
