//! `cargo xtask lab`: the test world as something that one can switch on and off.

use anyhow::Result;
use clap::Subcommand;
use xr_lab::{Lab as World, Layout, Record};

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
    /// Build everything, images of hosts too, without leaving it running
    Build,
}

pub(crate) fn run(command: Lab) -> Result<()> {
    let layout = Layout::from_env()?;
    match command {
        Lab::Setup => xr_lab::setup(&layout)?,
        Lab::Up => print(&World::attach_or_up()?.record()?),
        Lab::Down => World::down(layout.root())?,
        Lab::Status => match World::attach(layout.root()) {
            Ok(lab) => print(&lab.record()?),
            Err(_) => println!("down"),
        },
        Lab::Build => {
            if let Ok(lab) = World::attach(layout.root()) {
                lab.build_hosts()?;
            } else {
                World::up(layout.root())?.build_hosts()?;
            }
        }
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
    for daemon in &record.daemons {
        let state = if daemon.alive() { "running" } else { "gone" };
        println!("# {:14} pid {} {state}", daemon.name, daemon.pid);
    }
}
