//! Waiting for containers: their own check is asked sooner than the engine asks it, so that a 30 s interval costs nothing.

use std::time::{Duration, Instant};

use xr_host::Probe;
use xr_model::{Container, ContainerState, Fault, Health};
use xr_session::{Cancel, Failure, Session};

/// The first pause between two probes; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A container that its engine restarted this often before it was healthy will not become so.
const CRASHES: u64 = 3;
/// How long a container without a check must have been up.
const UP: Duration = Duration::from_millis(500);
/// The same once it was restarted: what the engine itself
/// [calls a successful start](https://docs.docker.com/engine/containers/start-containers-automatically/#restart-policy-details).
pub const UP_AGAIN: Duration = Duration::from_secs(10);
/// How long at least a check may be without its program, which the container may still be about to install.
const NO_CHECK: Duration = Duration::from_secs(30);
/// Lines of a failed container's log that are shown.
const LOG_LINES: usize = 20;

/// What is expected of containers.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// Give up after this.
    pub patience: Duration,
    /// They must end with 0.
    pub completes: bool,
    /// Ending with 0 is no success: they ran before and must run.
    pub must_run: bool,
}

/// Waits until the container is as expected, or the run is cancelled; gives it as it was at that moment. How often it
/// crashes does not count while `others_come` up that it may need.
///
/// # Errors
/// It crashed, ended, or did not become healthy in time; with the end of its log.
pub async fn await_container(
    session: &Session<'_>,
    container: &Container,
    expect: Expectation,
    others_come: &dyn Fn() -> bool,
    cancel: &Cancel,
) -> std::result::Result<Container, Failure> {
    let id = &container.id;
    let test = session.engine.health_test(id).await?;
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut said = if test.argv.is_empty() {
        String::from("it does not stay up")
    } else {
        String::from("its check has not answered yet")
    };
    let mut up_since = (String::new(), begun);
    let mut unrunnable_since = None;
    let mut forgiven = 0;
    loop {
        let Some(now) = session.engine.container(id).await? else {
            return Err(Fault::new(format!("container {} of {} is gone", container.name, container.service)).into());
        };
        match now.state {
            ContainerState::Exited(0) if expect.completes || !(expect.must_run || restarts(&now)) => return Ok(now),
            ContainerState::Exited(code) => {
                return Err(failed_container(session, &now, format!("ended with exit code {code}")).await);
            }
            ContainerState::Dead => return Err(failed_container(session, &now, "is dead".to_owned()).await),
            ContainerState::Running if expect.completes => {}
            ContainerState::Running => {
                if test.argv.is_empty() {
                    if up_since.0 != now.started_at {
                        up_since = (now.started_at.clone(), Instant::now());
                    }
                    let enough = if now.restarts == 0 { UP } else { UP_AGAIN };
                    if up_since.1.elapsed() >= enough {
                        return Ok(now);
                    }
                } else if now.health == Health::Healthy {
                    return Ok(now);
                } else {
                    match probe(session, id, &test.argv).await {
                        Some(Probe::Passed) => return Ok(now),
                        Some(Probe::Failed(why)) => {
                            said = why;
                            unrunnable_since = None;
                        }
                        Some(Probe::CannotRun(why)) => {
                            let since = *unrunnable_since.get_or_insert_with(Instant::now);
                            // By then the engine itself calls it unhealthy.
                            if since.elapsed() >= NO_CHECK.max(test.unhealthy_after()) {
                                let how = format!("has a health check that cannot be run: {why}");
                                return Err(failed_container(session, &now, how).await);
                            }
                            said = why;
                        }
                        None => unrunnable_since = None,
                    }
                }
            }
            ContainerState::Created | ContainerState::Paused | ContainerState::Restarting => {}
        }
        if others_come() {
            forgiven = now.restarts;
        }
        if now.restarts >= CRASHES && now.restarts > forgiven {
            return Err(failed_container(session, &now, format!("crashed {} times", now.restarts)).await);
        }
        if begun.elapsed() >= expect.patience {
            let why = if expect.completes { "did not complete".to_owned() } else { format!("is not healthy: {said}") };
            return Err(failed_container(session, &now, format!("after {} s {why}", expect.patience.as_secs())).await);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.raised() => return Err(Failure::interrupted()),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A probe that does not fail the wait: the container may be restarting.
async fn probe(session: &Session<'_>, id: &str, test: &[String]) -> Option<Probe> {
    session.engine.probe(id, test).await.ok()
}

fn restarts(container: &Container) -> bool {
    container.restarts > 0
}

/// A failure that names the container and shows the end of its log.
pub async fn failed_container(session: &Session<'_>, container: &Container, how: String) -> Failure {
    let log = session.engine.log_tail(&container.id, LOG_LINES).await;
    let fault = Fault::new(format!("{} ({}) {how}", container.service, container.name))
        .hint(format!("xr doctor; docker logs {}", container.name));
    Failure { fault, service: Some(container.service.clone()), log }
}
