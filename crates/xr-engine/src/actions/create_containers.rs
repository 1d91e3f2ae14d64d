//! Have compose create the replacement containers without starting them, and give them the names of the old.
//!
//! Compose creates them from the real files, so that it agrees with them afterwards. Two kinds need a word more:
//! - A service with a fixed name cannot have two: it is created without the name and then made again under it.
//! - A service that borrows another's network (`network_mode: service:x`) would be given that of the old container: it is
//!   created after its lender, and told the new one's id, as compose itself would write it.

use std::collections::BTreeMap;

use futures_util::future;
use xr_model::{Fault, Result, Swap};

use super::Run;
use crate::{World, failure::Failure};

/// The keys of a service that may name another whose namespace it shares.
const SHARED: [&str; 3] = ["network_mode", "ipc", "pid"];

/// What an overriding compose file says: lines by service.
type Override = BTreeMap<String, String>;

/// What an old container is called until it is removed.
fn retired(name: &str) -> String {
    format!("{name}-xr-old")
}

pub(crate) async fn act(run: &Run<'_, '_>, swaps: &[Swap]) -> std::result::Result<(), Failure> {
    let present = run.world.engine.containers(run.project()).await?;
    // What an interrupted attempt left is not trusted.
    for half in present.iter().filter(|c| swaps.iter().any(|s| s.service == c.service && !s.has(&c.id))) {
        run.world.engine.remove(&half.id, true).await?;
    }
    let services = &run.prepared.generation.services;
    let lenders = |swap: &Swap| services.iter().find(|s| s.name == swap.service).map_or(&[][..], |s| &s.tied_to);
    let mut pending: Vec<&Swap> = swaps.iter().collect();
    while !pending.is_empty() {
        let waits = |swap: &&Swap| pending.iter().any(|other| lenders(swap).contains(&other.service));
        let (later, now): (Vec<&Swap>, Vec<&Swap>) = pending.iter().copied().partition(waits);
        if now.is_empty() {
            return Err(Fault::new("services borrow each other's networks in a circle").into());
        }
        let borrowers: Vec<&Swap> = now.iter().copied().filter(|swap| !lenders(swap).is_empty()).collect();
        let borrowed = if borrowers.is_empty() { Override::new() } else { borrowed(run, &borrowers, swaps).await? };
        create(run, &now, swaps, &later, &borrowed).await?;
        pending = later;
    }
    Ok(())
}

/// Creates the containers of `now`; of `all`, those of `later` stay as they are.
async fn create(
    run: &Run<'_, '_>,
    now: &[&Swap],
    all: &[Swap],
    later: &[&Swap],
    borrowed: &Override,
) -> std::result::Result<(), Failure> {
    let generation = &run.prepared.generation;
    let compose = run.world.compose(generation.number, &generation.invocation)?;
    // The whole project is named, not only what is replaced: compose's hash of a service depends on its neighbours.
    let left_out = &run.prepared.generation.invocation.left_out;
    let mut scales: Vec<String> = left_out.iter().map(|service| format!("{service}=0")).collect();
    scales.extend(all.iter().map(|swap| {
        let new = if later.contains(&swap) { 0 } else { swap.replicas as usize };
        format!("{}={}", swap.service, swap.old.len() + new)
    }));
    let named: Vec<&Swap> = now.iter().copied().filter(|s| s.container_name.is_some() && !s.old.is_empty()).collect();
    let mut above = borrowed.clone();
    for swap in &named {
        // The `!reset` tag: https://docs.docker.com/reference/compose-file/merge/#reset-value
        *above.entry(swap.service.clone()).or_default() += "    container_name: !reset null\n";
    }
    let mut cmd = compose.command_under(&text(&above));
    cmd = cmd.args(["up", "--no-start", "--no-build", "--no-recreate", "--pull", "never", "--quiet-pull"]);
    for scale in &scales {
        cmd = cmd.args(["--scale", scale.as_str()]);
    }
    let output = cmd.run_async().await?;
    if output.code != 0 {
        let why = complaint(&output.error_text());
        return Err(Fault::new(format!("compose cannot create the containers: {why}")).hint("xr doctor").into());
    }
    let hashes = if named.is_empty() {
        Vec::new()
    } else {
        let above = text(borrowed);
        let hashes = tokio::task::spawn_blocking(move || compose.hashes(&above));
        hashes.await.map_err(Fault::at("a command's thread died"))??
    };
    let renames = now.iter().map(|swap| take_over_names(run, swap, &hashes));
    future::join_all(renames).await.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(())
}

fn text(above: &Override) -> String {
    let services: String = above.iter().map(|(service, lines)| format!("  {service:?}:\n{lines}")).collect();
    if services.is_empty() { services } else { format!("services:\n{services}") }
}

/// What compose says but for its progress: ` Container shop-web-1  Creating`.
fn complaint(said: &str) -> String {
    let progress = |line: &&str| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("Container" | "Network" | "Volume")) && words.count() == 2
    };
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("level=warning") && !progress(line)).collect();
    lines[lines.len().saturating_sub(3)..].join("; ").trim().to_owned()
}

/// Names the new containers whose namespaces are borrowed.
async fn borrowed(run: &Run<'_, '_>, borrowers: &[&Swap], swaps: &[Swap]) -> Result<Override> {
    let world = run.world;
    let generation = &run.prepared.generation;
    let compose = world.compose(generation.number, &generation.invocation)?;
    let (root, manifest) = (world.root.clone(), run.prepared.manifest.clone());
    let resolved = tokio::task::spawn_blocking(move || compose.resolve(&root, &manifest));
    let resolved = resolved.await.map_err(Fault::at("a command's thread died"))??;
    let mut above = Override::new();
    for borrower in borrowers {
        let definition = &resolved.json["services"][&borrower.service];
        let mut lines = String::new();
        for key in SHARED {
            let shared = definition[key].as_str();
            let Some(lender) = shared.and_then(|mode| mode.strip_prefix("service:")) else { continue };
            let Some(swap) = swaps.iter().find(|swap| swap.service == lender) else { continue };
            if let Some(new) = run.new_of(swap).await?.first() {
                lines += &format!("    {key}: \"container:{}\"\n", new.id);
            }
        }
        if !lines.is_empty() {
            // Compose derives it from `service:x`, and it is part of its hash.
            lines += &format!("    depends_on: {}\n", definition["depends_on"]);
            above.insert(borrower.service.clone(), lines);
        }
    }
    Ok(above)
}

async fn take_over_names(run: &Run<'_, '_>, swap: &Swap, hashes: &[(String, String)]) -> Result<()> {
    let engine = &run.world.engine;
    let new = run.new_of(swap).await?;
    if new.len() != swap.replicas as usize {
        return Err(Fault::new(format!(
            "compose made {} containers of {} instead of {}",
            new.len(),
            swap.service,
            swap.replicas
        ))
        .hint("docker compose ps --all"));
    }
    for old in &swap.old {
        engine.rename(&old.id, &retired(&old.name)).await?;
    }
    if let (Some(name), false) = (&swap.container_name, swap.old.is_empty()) {
        let hash = hashes.iter().find(|(service, _)| *service == swap.service).map(|(_, hash)| hash.as_str());
        let hash = hash.ok_or_else(|| Fault::new(format!("compose has no hash for {}", swap.service)))?;
        for container in &new {
            engine.recreate_with_hash(&container.id, name, hash).await?;
        }
        return Ok(());
    }
    let mut free: Vec<&str> = swap.old.iter().map(xr_model::Container::own_name).collect();
    free.sort_unstable();
    free.dedup();
    for (container, name) in new.iter().zip(free) {
        engine.rename(&container.id, name).await?;
    }
    Ok(())
}

/// Removes what was created and gives the old containers their names back.
pub(crate) async fn undo(world: &World<'_>, project: &str, swaps: &[Swap]) -> Result<()> {
    for swap in swaps {
        for new in world.newer(project, &swap.service, &swap.old).await? {
            world.engine.remove(&new.id, true).await?;
        }
        for old in &swap.old {
            if world.engine.container(&old.id).await?.is_some() {
                world.engine.rename(&old.id, &old.name).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_complaint_is_told_from_its_progress() {
        let said = " Network shop_default  Creating\n Container shop-web-1  Creating\n\
                    Error response from daemon: network edge not found\n";
        assert_eq!(complaint(said), "Error response from daemon: network edge not found");
    }
}
