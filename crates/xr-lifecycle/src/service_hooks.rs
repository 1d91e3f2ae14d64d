//! What the compose file has run in containers when they have started, and before they stop: as with compose, at a stop or a
//! restart that somebody asks for, not when a container is replaced.

use std::{future::Future, time::Duration};

use xr_compose::health;
use xr_host::{Program, Said, Setting};
use xr_model::{Container, Generation, Level, Result, Service};
use xr_session::{Failure, Session};
use xr_stack::{LifecycleHook, Moment, lifecycle_hooks};

use crate::output_tail::Tail;

/// How long a program may take before its container is stopped all the same.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs what a service wants after its start, in each of these containers.
///
/// # Errors
/// With compose the start has failed when one of the programs has.
pub(crate) async fn after_start(
    session: &Session<'_>,
    generation: &Generation,
    service: &str,
    containers: &[Container],
) -> std::result::Result<(), Failure> {
    let wants = |s: &&Service| s.name == service && s.runs_after_start;
    let Some(service) = generation.services.iter().find(wants) else { return Ok(()) };
    let resolved = session.resolved(generation).await?;
    for hook in lifecycle_hooks(&resolved.json["services"][&service.name], Moment::AfterStart) {
        for container in containers {
            if let Err((how, said)) = run(session, container, &hook, session.cancel.raised()).await? {
                if session.cancel.is_raised() {
                    return Err(Failure::interrupted());
                }
                let failure = health::failed_container(session, container, format!("post_start: {how}")).await;
                return Err(if said.is_empty() { failure } else { Failure { log: said, ..failure } });
            }
        }
    }
    Ok(())
}

/// Runs what services want before they are stopped, in those of these containers that run. One that fails is told, and holds
/// nothing up.
///
/// # Errors
/// When the generation that serves cannot be read.
pub(crate) async fn before_stop<'a>(
    session: &Session<'_>,
    containers: impl IntoIterator<Item = &'a Container>,
) -> Result<()> {
    let containers: Vec<&Container> = containers.into_iter().filter(|container| container.is_running()).collect();
    let Some(generation) = session.generations.current()?.filter(|_| !containers.is_empty()) else { return Ok(()) };
    let wants =
        |container: &&&Container| generation.services.iter().any(|s| s.name == container.service && s.runs_before_stop);
    let containers: Vec<&&Container> = containers.iter().filter(wants).collect();
    if containers.is_empty() {
        return Ok(());
    }
    let resolved = session.resolved(&generation).await?;
    for container in containers {
        for hook in lifecycle_hooks(&resolved.json["services"][&container.service], Moment::BeforeStop) {
            let ended = run(session, container, &hook, tokio::time::sleep(PATIENCE)).await;
            let how = match ended {
                Ok(Ok(())) => continue,
                Ok(Err((how, _))) => how,
                Err(fault) => fault.chain(),
            };
            session.say(Level::Warning, format!("{} ({}): pre_stop: {how}", container.service, container.name));
        }
    }
    Ok(())
}

/// Why a program did not end well, and the end of what it said.
type Ended = std::result::Result<(), (String, Vec<String>)>;

async fn run(
    session: &Session<'_>,
    container: &Container,
    hook: &LifecycleHook,
    until: impl Future<Output = ()>,
) -> Result<Ended> {
    let mut said = Tail::default();
    let mut hear = |part: Said<'_>| {
        let (Said::Out(bytes) | Said::Error(bytes)) = part;
        said.take(bytes);
        Ok(())
    };
    let setting = Setting {
        user: hook.user.clone(),
        privileged: hook.privileged,
        folder: hook.folder.clone(),
        env: hook.env.clone(),
    };
    let program = Program { argv: &hook.command, input: None, hear: &mut hear, setting };
    let name = hook.command.first().map_or("", String::as_str);
    let how = match session.engine.run_program(&container.id, program, until).await? {
        Some(0) => return Ok(Ok(())),
        Some(code) => format!("`{name}` ended with exit code {code}"),
        None => format!("`{name}` did not end"),
    };
    Ok(Err((how, said.lines())))
}
