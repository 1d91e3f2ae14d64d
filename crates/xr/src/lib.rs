//! The command line of `xr`: arguments in, words and exit codes out. What happens stands below.
//!
//! A library so that completions and manual pages are made from the same definition that parses the arguments.

mod commands;
mod context;
mod globals;
mod guard;
mod logging;
mod outcome;
mod print;
mod privacy;
mod prompt;
mod render;
mod run;
mod signals;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser};

pub use commands::completions::{Shell, registration};

/// How long what was broken off may take to clear up.
const CLEARING_UP: Duration = Duration::from_secs(10);

/// The definition of the command line.
pub fn command() -> clap::Command {
    commands::Args::command()
}

/// The program.
pub fn main() -> ExitCode {
    // The commonest question of all needs no definition of a command line to be built.
    if std::env::args_os().skip(1).eq(["--version"]) {
        print::out(concat!("xr ", env!("CARGO_PKG_VERSION")));
        return ExitCode::from(print::delivered(xr_model::exit::OK));
    }
    privacy::begin();
    // Containers of other users read what a release brings. What is private has a mode of its own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // Answers the shell's completion requests and returns; does nothing otherwise.
    clap_complete::CompleteEnv::with_factory(command).complete();
    let args = commands::Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return outcome::fault(&xr_model::Fault::new("cannot start").because(error), false),
    };
    let json = args.globals.json;
    let query = args.command.is_query();
    let code = match runtime.block_on(commands::run(args)) {
        // Of a run the code tells what became of the stack, whoever reads its words.
        Ok(code) => ExitCode::from(if query { print::delivered(code) } else { code }),
        Err(fault) => outcome::fault(&fault, json),
    };
    // What is no longer wanted (a question to the git remote) does not outlive this process.
    xr_host::end_children();
    // What a program that was ended leaves behind is cleared up; what hangs is not waited for.
    runtime.shutdown_timeout(CLEARING_UP);
    code
}
