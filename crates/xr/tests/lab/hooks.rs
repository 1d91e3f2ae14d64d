//! Hooks: when one has ended, or was ended, nothing of it lives on, and what it says is told without secrets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use xr_lab::wait_for;

use crate::support::{Container, PATIENCE, QUICK, Setup, Stack};

/// A hook of the release to come, in a service; `sh` runs `script`.
fn hook(service: &str, script: &str, timeout: &str) -> String {
    format!(
        "{QUICK}\n[[hooks]]\nname = \"tidy\"\nwhen = \"release\"\nservice = \"{service}\"\n\
         command = [\"sh\", \"-c\", '''{script}''']\ntimeout = \"{timeout}\"\n"
    )
}

/// Publishes v1.1.0 with this manifest.
fn publish(stack: &Stack, manifest: &str) -> Result<()> {
    std::fs::write(stack.remote.work().join("xr.toml"), manifest)?;
    stack.remote.release("v1.1.0")
}

/// The manifest of the present release is of no matter to an update; that of the next one is.
fn publish_again(stack: &Stack, manifest: &str) -> Result<()> {
    std::fs::write(stack.remote.work().join("xr.toml"), manifest)?;
    stack.remote.commit("fix: the hook")?;
    stack.remote.in_work(&["tag", "--force", "-m", "v1.1.0", "v1.1.0"])?;
    stack.remote.push()
}

/// What runs in a service's containers, as the engine's machine sees it.
fn processes(stack: &Stack, service: &str) -> Result<String> {
    let mut all = String::new();
    for container in stack.containers()?.into_iter().filter(|c| c.service == service && c.state == "running") {
        all += &stack.docker(&["top", &container.id, "-eo", "pid,args"])?;
    }
    Ok(all)
}

/// Nothing of the hook runs in the container that stays, which was not restarted for it.
fn assert_nothing_left(stack: &Stack, redis: &Container, marks: &[&str]) -> Result<()> {
    let left = processes(stack, "redis")?;
    for mark in marks {
        ensure!(!left.contains(mark), "{mark} lives on:\n{left}");
    }
    assert_eq!(redis, &stack.container("redis")?, "a container that stays is left alone");
    Ok(())
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_that_it_started_and_the_old_version_serves() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let (before, redis) = (stack.snapshot()?, stack.container("redis")?);
    // In a container that stays: nobody's end takes the hook along. One child is in a session of its own, one ignores SIGTERM.
    let hangs = "setsid sleep 7101 & (trap '' TERM; while :; do sleep 7102; done) & echo $DB_PASSWORD; sleep 7103";
    publish(&stack, &hook("redis", hangs, "3s"))?;
    let begun = Instant::now();
    let done = stack.xr(&["update", "--yes"])?.exits(3);
    done.says("hook `tidy` did not end within 3 s").says("rolled back: v1.0.0 is healthy");
    ensure!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_nothing_left(&stack, &redis, &["sleep 7101", "sleep 7102", "sleep 7103"])?;
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(before.ids(), stack.snapshot()?.ids());

    // The hook itself ignores SIGTERM; then a second Ctrl-C, and a kill, leave it to the guard.
    let deaf = "trap '' TERM INT; while :; do sleep 7104; done";
    publish_again(&stack, &hook("redis", deaf, "2s"))?;
    stack.xr(&["update", "--yes"])?.exits(3).says("did not end within 2 s");
    assert_nothing_left(&stack, &redis, &["sleep 7104", "trap"])?;
    publish_again(&stack, &hook("redis", deaf, "10m"))?;
    for signal in [Signal::INT, Signal::KILL] {
        let run = stack.start_xr(&["update", "--yes"])?;
        let runs = || processes(&stack, "redis").is_ok_and(|all| all.contains("sleep 7104"));
        wait_for("the hook", PATIENCE, || runs() || run.ended())?;
        ensure!(!run.ended(), "the update ended early: {}", run.end()?);
        run.signal(signal)?;
        let done = run.end()?;
        ensure!(done.code == if signal == Signal::INT { 130 } else { -1 }, "{done}");
        wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())?;
        assert_nothing_left(&stack, &redis, &["sleep 7104", "trap"])?;
        stack.assert_all_of_it_is("v1.0.0")?;
    }
    assert_eq!(before.ids(), stack.snapshot()?.ids());
    Ok(())
}

#[test]
fn a_hook_that_asks_to_be_tried_later_is_within_its_time_and_one_that_fails_is_told_without_secrets() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.snapshot()?;
    publish(&stack, &hook("server", "echo not yet; exit 75", "4s"))?;
    let begun = Instant::now();
    let done =
        stack.xr(&["update", "--yes"])?.exits(3).says("hook `tidy` asked ").says("to be tried later (exit code 75)");
    done.says("not yet").says("rolled back: v1.0.0 is healthy");
    ensure!(begun.elapsed() > Duration::from_secs(2), "given up at once");
    stack.assert_all_of_it_is("v1.0.0")?;

    // Any other code fails at once, with the last it said; the container's own environment is all that it has.
    let fails = "env | cut -d= -f1 | sort | tr '\\n' ' '; echo; echo password=$DB_PASSWORD; exit 9";
    publish_again(&stack, &hook("server", fails, "1m"))?;
    let done =
        stack.xr(&["update", "--yes"])?.exits(3).says("hook `tidy` failed with exit code 9").says("password=***");
    let password = stack.setting("DB_PASSWORD")?;
    let done = done.never_says(&password).never_says("DOCKER_HOST").never_says("GIT_CONFIG_NOSYSTEM");
    let journal = std::fs::read_to_string(stack.journals().pop().context("no journal")?)?;
    ensure!(!journal.contains(&password), "{done}");
    assert_eq!(before.ids(), stack.snapshot()?.ids());

    // Twice later, then done; what it leaves in the background ends with it.
    let file = "/var/lib/orbit/results/tries";
    let third = format!("sleep 7105 >&- 2>&- & sleep 0.5; echo x >> {file}; [ $(wc -l < {file}) -ge 3 ] || exit 75");
    publish_again(&stack, &hook("server", &third, "1m"))?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(stack.docker(&["exec", &stack.container("server")?.id, "wc", "-l", file])?, format!("3 {file}"));
    let left = processes(&stack, "server")?;
    ensure!(!left.contains("sleep 7105"), "a hook that went well has left something behind:\n{left}");
    Ok(())
}
