//! One command, one file.

pub mod complete;
pub mod completions;
mod deploy;
pub mod doctor;
pub mod env;
pub mod guard;
pub mod history;
pub mod init;
mod install;
pub mod prune;
pub mod recover;
pub mod restart;
pub mod start;
pub mod status;
pub mod stop;
pub mod task;
pub mod uninstall;
pub mod worker;

use xr_model::Result;

use crate::{
    args::{Args, Command, Globals},
    context::Context,
};

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
