//! Have compose create the replacement containers without starting them, and give them the names of the old.
//!
//! Compose creates them from the real files, so that it agrees with them afterwards. A service with a fixed name cannot
//! have two containers: it is created without the name and then made again under it.

use futures_util::future;
use xr_model::{Fault, Result, Swap};

use super::Run;
use crate::{World, failure::Failure};

/// What an old container is called until it is removed.
fn retired(name: &str) -> String {
    format!("{name}-xr-old")
}

pub(crate) async fn act(run: &Run<'_, '_>, swaps: &[Swap]) -> std::result::Result<(), Failure> {
    let compose = run.world.compose(&run.prepared.generation.invocation);
    let present = run.world.engine.containers(run.project()).await?;
    // The whole project is named, not only what is replaced: compose's hash of a service depends on its neighbours.
    let left_out = &run.prepared.generation.invocation.left_out;
    let mut scales: Vec<String> = left_out.iter().map(|service| format!("{service}=0")).collect();
    for swap in swaps {
        // What an interrupted attempt left is not trusted.
        for half in present.iter().filter(|c| c.service == swap.service && !swap.old.iter().any(|o| o.id == c.id)) {
            run.world.engine.remove(&half.id, true).await?;
        }
        let old = swap.old.len();
        scales.push(format!("{}={}", swap.service, old + swap.replicas as usize));
    }
    let named: Vec<&Swap> = swaps.iter().filter(|s| s.container_name.is_some() && !s.old.is_empty()).collect();
    let nameless = nameless(&named);
    let mut cmd = if named.is_empty() { compose.command() } else { compose.command_with(&["-"]).stdin(nameless) };
    cmd = cmd.args(["up", "--no-start", "--no-build", "--no-recreate", "--pull", "never", "--quiet-pull"]);
    for scale in &scales {
        cmd = cmd.args(["--scale", scale.as_str()]);
    }
    let output = cmd.run_async().await?;
    if output.code != 0 {
        return Err(cmd.failed(&output).hint(format!("{} config", compose.command())).into());
    }
    let hashes = if named.is_empty() {
        Vec::new()
    } else {
        let compose = compose.clone();
        tokio::task::spawn_blocking(move || compose.hashes()).await.map_err(Fault::at("a command's thread died"))??
    };
    let renames = swaps.iter().map(|swap| take_over_names(run, swap, &hashes));
    future::join_all(renames).await.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(())
}

/// An override that drops the fixed names: the [`!reset`](https://docs.docker.com/reference/compose-file/merge/#reset-value) tag.
fn nameless(named: &[&Swap]) -> String {
    let mut text = String::from("services:\n");
    for swap in named {
        text += &format!("  {:?}:\n    container_name: !reset null\n", swap.service);
    }
    text
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
    let mut free: Vec<&str> = swap.old.iter().map(|old| old.name.as_str()).collect();
    free.sort_unstable();
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
