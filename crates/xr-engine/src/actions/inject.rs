//! Write into new containers the files that compose itself would write there.
//!
//! Compose does it when it creates a container, since 2.38 when it starts one; xr starts containers itself, and makes twins
//! of some, which have nothing of what was written.

use xr_host::InjectedFile;
use xr_model::{Container, Generation, Result, Swap};
use xr_stack::inline_files;

use super::Run;
use crate::{World, settings};

pub(crate) async fn act(run: &Run<'_, '_>, swaps: &[&Swap]) -> Result<()> {
    let generation = &run.prepared.generation;
    let injected = |swap: &&&Swap| generation.services.iter().any(|s| s.name == swap.service && s.injected);
    let swaps: Vec<&&Swap> = swaps.iter().filter(injected).collect();
    if swaps.is_empty() {
        return Ok(());
    }
    let world = run.world;
    let resolved = world.resolved(generation).await?;
    let env = settings::parse_env(&world.stack.layout.env_path())?;
    let value = |key: &str| {
        let set = env.as_ref().and_then(|env| env.get(key)).map(|value| value.text);
        set.or_else(|| std::env::var(key).ok())
    };
    for swap in swaps {
        let files: Vec<InjectedFile> = inline_files(&resolved.json, &swap.service, &value)
            .into_iter()
            .map(|file| InjectedFile { path: file.path, content: file.content, mode: file.mode, owner: file.owner })
            .collect();
        for container in run.new_of(swap).await? {
            world.engine.inject(&container.id, &files).await?;
        }
    }
    Ok(())
}

/// The first of these containers that lacks such a file, and which.
pub(crate) async fn missing<'a>(
    world: &World<'_>,
    generation: &Generation,
    containers: &'a [Container],
) -> Result<Option<(&'a Container, String)>> {
    let injected = |container: &&Container| {
        generation.services.iter().any(|service| service.injected && service.name == container.service)
    };
    let containers: Vec<&Container> = containers.iter().filter(injected).collect();
    if containers.is_empty() {
        return Ok(None);
    }
    let resolved = world.resolved(generation).await?;
    for container in containers {
        for file in inline_files(&resolved.json, &container.service, &|_| Some(String::new())) {
            if !world.engine.has_path(&container.id, &file.path).await? {
                return Ok(Some((container, file.path)));
            }
        }
    }
    Ok(None)
}
