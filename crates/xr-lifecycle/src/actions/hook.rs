//! Run a program of the manifest in a service's new container. When it has ended, or was ended, nothing of it lives on.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use xr_compose::health;
use xr_host::{Program, Said, Setting};
use xr_model::{Container, Fault, Level, StepId};
use xr_session::Failure;
use xr_stack::Hook;

use super::Run;
use crate::output_tail::Tail;

/// How long a hook may take when the manifest does not say.
const TIMEOUT: Duration = Duration::from_secs(600);
/// `EX_TEMPFAIL` of sysexits(3): try again later.
const TRY_LATER: i64 = 75;
/// A program that was killed (128 + SIGKILL).
const KILLED: i64 = 137;
/// How long the engine may take to tell that a container has ended.
const END_KNOWN: Duration = Duration::from_secs(3);
/// The pause before a second try; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) async fn act(run: &Run<'_, '_>, step: StepId, index: usize) -> Result<(), Failure> {
    let Some(hook) = run.prepared.manifest.hooks.get(index) else { return Ok(()) };
    let engine = &run.session.engine;
    let old = run.prepared.retired_ids();
    let all = run.session.containers(run.project()).await?;
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
        let why = format!("{path} is not in {}", hook.service);
        run.skipped.borrow_mut().insert(step, why);
        return Ok(());
    }
    if let Some(variable) = &hook.requires_env {
        let (env, _) = engine.surroundings(&container.id).await?;
        if !env.iter().any(|pair| pair.split_once('=').is_some_and(|(key, value)| key == variable && !value.is_empty()))
        {
            let why = format!("{variable} is not set in {}", hook.service);
            run.skipped.borrow_mut().insert(step, why);
            return Ok(());
        }
    }
    run.session.say(Level::Info, format!("hook: {}", hook.name));
    until_done(run, hook, container).await
}

/// What is killed may have ended with its container, which the engine tells a moment later: the cause is that then.
async fn until_its_end_is_known(run: &Run<'_, '_>, container: &Container) -> xr_model::Result<()> {
    let end = Instant::now() + END_KNOWN;
    while Instant::now() < end {
        let now = run.session.engine.container(&container.id).await?;
        if now.is_none_or(|now| !now.is_running() || now.started_at != container.started_at) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Runs it, and again as long as it asks for it and the time lasts.
async fn until_done(run: &Run<'_, '_>, hook: &Hook, container: &Container) -> Result<(), Failure> {
    let limit = hook.timeout.unwrap_or(TIMEOUT);
    let end = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let mut tries = 0_u32;
    loop {
        tries += 1;
        let mut said = Tail::default();
        let mut hear = |part: Said<'_>| {
            let (Said::Out(bytes) | Said::Error(bytes)) = part;
            said.take(bytes);
            Ok(())
        };
        let program = Program { argv: &hook.command, input: None, hear: &mut hear, setting: Setting::default() };
        let broken_off = async {
            tokio::select! {
                () = sleep_until(end) => {}
                () = run.session.cancel.raised() => {}
            }
        };
        let ended = run.session.engine.run_program(&container.id, program, broken_off).await?;
        let how = match ended {
            Some(0) => return Ok(()),
            Some(TRY_LATER) if Instant::now() + pause < end => {
                run.session.say(Level::Info, format!("hook `{}` asks to be tried again", hook.name));
                tokio::select! {
                    () = sleep(pause) => {}
                    () = run.session.cancel.raised() => return Err(Failure::interrupted()),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Some(TRY_LATER) => {
                let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
                format!(
                    "hook `{}` asked {times} to be tried later (exit code 75) within {} s",
                    hook.name,
                    limit.as_secs()
                )
            }
            Some(code) => {
                if code == KILLED {
                    until_its_end_is_known(run, container).await?;
                }
                format!("hook `{}` failed with exit code {code}", hook.name)
            }
            None => {
                rest(run, hook, container).await?;
                if run.session.cancel.is_raised() {
                    return Err(Failure::interrupted());
                }
                format!("hook `{}` did not end within {} s", hook.name, limit.as_secs())
            }
        };
        let mut failure = health::failed_container(run.session, container, how).await;
        let lines = said.lines();
        if !lines.is_empty() {
            failure.log = lines;
        }
        return Err(failure);
    }
}

/// What could not be ended from here ends with its container. A new one is about to go; one that stays is restarted.
async fn rest(run: &Run<'_, '_>, hook: &Hook, container: &Container) -> xr_model::Result<()> {
    let engine = &run.session.engine;
    let stays = run.prepared.observed.containers.iter().any(|before| before.id == container.id);
    if !stays || engine.end_programs(&container.id, &hook.command).await? {
        return Ok(());
    }
    let text = format!("hook `{}` cannot be ended from here: {} is restarted", hook.name, container.name);
    run.session.say(Level::Warning, text);
    engine.stop(&container.id, None).await?;
    engine.start(&container.id).await
}
