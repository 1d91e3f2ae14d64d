//! `cargo xtask lab`: the test world as something that one can switch on and off.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use xr_lab::{ENGINES, Lab as World, Layout, Record, Sandbox};

#[derive(Subcommand)]
pub(crate) enum Lab {
    /// Install the packages that the lab and the tests need
    Setup,
    /// Start it, building what is missing, and leave it running
    Up,
    /// Stop it and remove its containers, volumes and networks; built images are kept
    Down,
    /// Say whether it runs, and where
    Status,
    /// Start it with the images of hosts too
    Build,
    /// The engines that it can be, for `XR_LAB_ENGINE`
    Engines,
    /// Run a command in its namespaces: a shell when none is given
    Exec {
        /// The command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

pub(crate) fn run(command: Lab) -> Result<()> {
    let layout = Layout::from_env()?;
    match command {
        Lab::Setup => xr_lab::prepare(&layout)?,
        Lab::Up => print(&World::attach_or_up()?.record()?),
        Lab::Down => World::down(&layout)?,
        Lab::Status => match World::recorded(&layout)? {
            Some(record) => print(&record),
            None => println!("down"),
        },
        Lab::Build => World::attach_or_up()?.build_hosts()?,
        Lab::Engines => ENGINES.iter().for_each(|engine| println!("{}", engine.name)),
        Lab::Exec { command } => exec(&layout, &command)?,
    }
    Ok(())
}

fn exec(layout: &Layout, command: &[String]) -> Result<()> {
    let sandbox = Sandbox::running(layout).context("no lab runs here\nhint: cargo xtask lab up")?;
    let shell = [std::env::var("SHELL").unwrap_or_else(|_| "sh".to_owned())];
    let argv = if command.is_empty() { &shell } else { command };
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let engine = format!("unix://{}", layout.socket().display());
    let status = sandbox.command(&argv)?.env("DOCKER_HOST", engine).unchecked().run()?.status;
    if !status.success() {
        bail!("{}: {status}", argv.join(" "));
    }
    Ok(())
}

/// Where everything is, in lines that a shell can take over.
pub(crate) fn print(record: &Record) {
    println!("export DOCKER_HOST={}", record.docker_host);
    println!("# registry       {}", record.registry);
    println!("# for hosts      {}", record.registry_for_hosts);
    println!("# git remote     {}", record.git_remote.display());
    println!("# engine         {}, compose {}", record.engine, record.compose);
    println!("# its addresses are its own: cargo xtask lab exec -- COMMAND");
}
