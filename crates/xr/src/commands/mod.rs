//! The command line: one command, one file. Help, version and completions touch nothing and need no stack.

pub mod complete;
pub mod completions;
mod deploy;
pub mod doctor;
pub mod env;
pub mod guard;
pub mod history;
pub mod init;
mod install;
mod options;
pub mod prune;
pub mod recover;
pub mod restart;
pub mod start;
pub mod status;
pub mod stop;
pub mod task;
pub mod uninstall;
pub mod worker;

use clap::{Parser, Subcommand};
use options::{Install, Rollback, Update};
use xr_model::Result;

use crate::{context::Context, globals::Globals};

/// One version, everywhere: install, update, roll back and examine a Docker Compose stack.
#[derive(Debug, Parser)]
#[command(name = "xr", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Args {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this host run the stack, from nothing if need be; run again, it changes only what differs
    Install(Install),
    /// Bring the stack to the newest release; the old version serves until the new one is healthy
    Update(Update),
    /// Go back to the generation before, or to any kept one; needs no network
    Rollback(Rollback),
    /// End a run that was killed, so that the old version serves or the new one; any other command does so too
    Recover(recover::Recover),
    /// Say what is wrong and what mends it; --fix makes the safe repairs
    Doctor(doctor::Doctor),
    /// What serves, and how it is
    Status(status::Status),
    /// Every run that was made here, and the generations to go back to
    History(history::History),
    /// Bring up what the present generation says, dependencies first
    Start(start::Start),
    /// Stop all containers of the stack and keep them
    Stop(stop::Stop),
    /// Apply changed settings and restart the rest, dependencies first
    Restart(restart::Restart),
    /// Remove the stack from this host; data only when asked for by name
    Uninstall(uninstall::Uninstall),
    /// Remove old generations, old backups and images that nothing needs
    Prune(prune::Prune),
    /// Hosts beside this one: add, list, bring up to date, remove
    Worker(worker::Worker),
    /// Run a task in the worker image at the stack's version, on the host that has most to give
    Run(task::RunTask),
    /// Read, change and check the settings in .env
    Env(env::Env),
    /// Write an xr.toml that describes this compose project
    Init(init::Init),
    /// Print the script that teaches a shell to complete xr's commands, versions and generations
    Completions(completions::Completions),
    /// What xr starts itself to outlive a run
    #[command(hide = true)]
    Guard(guard::Guard),
}

impl Command {
    /// Whether its words are all it is run for: it changes nothing here.
    pub fn is_query(&self) -> bool {
        match self {
            Self::Install(Install { run, .. })
            | Self::Update(Update { run, .. })
            | Self::Rollback(Rollback { run, .. }) => run.dry_run,
            Self::Start(start) => start.dry_run,
            Self::Stop(stop) => stop.dry_run,
            Self::Restart(restart) => restart.dry_run,
            Self::Prune(prune) => prune.dry_run,
            Self::Uninstall(uninstall) => uninstall.dry_run,
            Self::Doctor(doctor) => !doctor.fix,
            Self::Init(init) => init.print,
            Self::Env(env) => env.is_query(),
            Self::Worker(worker) => worker.is_query(),
            Self::Status(_) | Self::History(_) | Self::Completions(_) => true,
            Self::Recover(_) | Self::Guard(_) | Self::Run(_) => false,
        }
    }
}

/// Runs the command; its exit code.
///
/// # Errors
/// Whatever stopped it before anything changed.
pub async fn run(args: Args) -> Result<u8> {
    let globals = args.globals;
    match args.command {
        Command::Install(install) => install::run(&Context::new(globals, "install"), &install).await,
        Command::Update(update) => deploy::update(&Context::new(globals, "update"), &update).await,
        Command::Rollback(rollback) => deploy::rollback(&Context::new(globals, "rollback"), &rollback).await,
        Command::Recover(recover) => {
            // Whoever names the version has answered the question.
            let globals = Globals { yes: globals.yes || recover.to.is_some(), ..globals };
            recover::run(&Context::new(globals, "recover"), &recover).await
        }
        Command::Guard(guard) => guard::run(globals, &guard).await,
        Command::Doctor(doctor) => doctor::run(&Context::new(globals, "doctor"), doctor).await,
        Command::Status(status) => status::run(&globals, &status).await,
        Command::History(history) => history::run(&globals, &history),
        Command::Start(start) => start::run(&Context::new(globals, "start"), &start).await,
        Command::Stop(stop) => stop::run(&Context::new(globals, "stop"), &stop).await,
        Command::Restart(restart) => restart::run(&Context::new(globals, "restart"), &restart).await,
        Command::Uninstall(uninstall) => uninstall::run(&Context::new(globals, "uninstall"), &uninstall).await,
        Command::Prune(prune) => prune::run(&Context::new(globals, "prune"), &prune).await,
        Command::Worker(worker) => worker::run(&Context::new(globals, "worker"), &worker).await,
        Command::Run(task) => task::run(&Context::new(globals, "run"), &task).await,
        Command::Env(env) => env::run(&globals, &env).await,
        Command::Init(init) => init::run(&globals, &init),
        Command::Completions(completions) => completions::run(&completions),
    }
}
