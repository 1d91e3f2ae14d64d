//! `xr install`: from nothing to a running stack, or from what runs to what the tree and `.env` say.

mod answers;
mod preflight;

use std::path::Path;

use xr_journal::{Generations, Home};
use xr_lifecycle::{Request, Wanted};
use xr_model::{Event, Fault, Level, Port, Result, Service, exit};
use xr_preflight::boot;

use super::deploy::{deploy, request};
use crate::{commands::options::Install, context::Context, print::out};

/// `xr install`
pub async fn run(context: &Context, args: &Install) -> Result<u8> {
    let root = context.root()?;
    let stack = xr_stack::load(&root)?;
    if !preflight::run(context, args, &root, &stack)? {
        return Ok(exit::OK);
    }
    let without = args.without.clone();
    let request = Request {
        wanted: Wanted::Install { version: args.version.clone(), dev: args.dev },
        set: answers::settings(context, &stack, args)?,
        without: without.map(|names| names.into_iter().filter(|name| !name.is_empty()).collect()),
        trust_keys: args.trust_key.clone(),
        accept_empty_data: args.accept_empty_data,
        adopt: args.adopt,
        ..request(args.run)
    };
    let code = deploy(context, "install", &request, false).await?;
    if code == exit::OK && !args.run.dry_run && context.renderer.is_interactive() && !context.globals.quiet {
        let generation = Generations::of(&Home::of(&root)).current()?;
        let published = generation.map(|generation| published(&generation.services)).unwrap_or_default();
        published.into_iter().for_each(|line| out(&line));
    }
    if code == exit::OK && !args.run.dry_run && rustix::process::geteuid().is_root() {
        recover_at_boot(context, &root);
    }
    Ok(code)
}

/// Where the stack is reached from outside, a line for each service.
fn published(services: &[Service]) -> Vec<String> {
    let address = |port: &Port| {
        let of_all = ["", "0.0.0.0", "::"].contains(&port.host_ip.as_str());
        let host = if of_all { "*" } else { &port.host_ip };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
        format!("{host}:{}{protocol}", port.published)
    };
    let open = services.iter().filter(|service| service.replicas > 0 && !service.ports.is_empty());
    open.map(|service| {
        let mut addresses: Vec<String> = service.ports.iter().map(address).collect();
        addresses.dedup();
        format!("  {} listens on {}", service.name, addresses.join(", "))
    })
    .collect()
}

/// What a power cut breaks off is ended when the machine is up again. The stack runs also where that cannot be set up.
fn recover_at_boot(context: &Context, root: &Path) {
    let enable = || {
        let xr = std::env::current_exe().map_err(Fault::at("cannot find xr itself"))?;
        match Generations::of(&Home::of(root)).current()? {
            Some(generation) => boot::enable(&generation.invocation.project, root, &xr),
            None => Ok(None),
        }
    };
    let (level, text) = match enable() {
        Ok(None) => return,
        Ok(Some(unit)) => (Level::Info, format!("{unit} ends a broken-off run when this machine starts")),
        Err(fault) => (Level::Warning, format!("nothing ends a broken-off run at boot: {}", fault.chain())),
    };
    context.renderer.emit(Event::Message { level, text });
}
