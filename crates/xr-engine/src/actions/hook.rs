//! Run a program of the manifest in a service's new container.

use std::time::Duration;

use xr_model::{Fault, Level};

use super::Run;
use crate::{failure::Failure, health};

const TIMEOUT: Duration = Duration::from_secs(600);

pub(crate) async fn act(run: &Run<'_, '_>, index: usize) -> Result<(), Failure> {
    let Some(hook) = run.prepared.manifest.hooks.get(index) else { return Ok(()) };
    let engine = &run.world.engine;
    let old = run.prepared.retired_ids();
    let all = engine.containers(run.project()).await?;
    let Some(container) =
        all.iter().find(|c| c.service == hook.service && c.is_running() && !old.contains(&c.id.as_str()))
    else {
        return Err(Fault::new(format!("hook `{}`: {} does not run", hook.name, hook.service))
            .hint("xr doctor")
            .into());
    };
    if let Some(path) = &hook.requires_path
        && !engine.has_path(&container.id, path).await?
    {
        return Ok(());
    }
    if let Some(variable) = &hook.requires_env {
        let (env, _) = engine.surroundings(&container.id).await?;
        if !env.iter().any(|pair| pair.split_once('=').is_some_and(|(key, value)| key == variable && !value.is_empty()))
        {
            return Ok(());
        }
    }
    run.world.say(Level::Info, format!("hook: {}", hook.name));
    let mut said: Vec<u8> = Vec::new();
    let running = engine.exec(&container.id, &hook.command, &mut said, true);
    let ended = tokio::select! {
        ended = tokio::time::timeout(hook.timeout.unwrap_or(TIMEOUT), running) => ended,
        () = run.world.cancel.raised() => return Err(Failure::interrupted()),
    };
    let how = match ended {
        Ok(Ok(0)) => return Ok(()),
        Ok(Ok(code)) => format!("hook `{}` failed with exit code {code}", hook.name),
        Ok(Err(fault)) => return Err(fault.into()),
        Err(_) => format!("hook `{}` did not end within {} s", hook.name, hook.timeout.unwrap_or(TIMEOUT).as_secs()),
    };
    let mut failure = health::guilty(run.world, container, how).await;
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    if !lines.is_empty() {
        failure.log = lines[lines.len().saturating_sub(20)..].to_vec();
    }
    Err(failure)
}
