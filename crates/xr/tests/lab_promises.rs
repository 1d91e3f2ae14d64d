//! What xr promises an admin, on a real engine, registry and git remote.
#![allow(clippy::disallowed_methods, reason = "a test writes its own files")]

mod support;

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use duct::cmd;
use rustix::process::Signal;
use support::{Background, Done, Setup, Stack};
use xr_lab::wait_for;

#[test]
fn an_update_replaces_what_changed_and_leaves_alone_what_did_not() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    let (postgres, redis, server) =
        (stack.container("postgres")?, stack.container("redis")?, stack.container("server")?);
    stack.remote.release("v1.1.0")?;
    let done = stack.xr(&["update", "--yes"])?.exits(0);
    ensure!(done.stdout.lines().count() == 1, "cron wants one line: {done}");

    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!((postgres, redis), (stack.container("postgres")?, stack.container("redis")?));
    assert_ne!(server.id, stack.container("server")?.id);
    assert_eq!(stack.visits()?, 1);
    for service in ["server", "frontend", "nginx", "agent"] {
        let digest = stack.lab.registry().digest(&format!("acme/orbit-{service}:v1.1.0"))?.context("not published")?;
        let ran = stack.digests(&stack.container(service)?)?;
        assert!(ran.contains(&digest), "{service}: {ran} lacks {digest}");
    }
    assert!(stack.setting("SESSION_KEY")?.len() >= 32, "a new secret is generated, never the placeholder");
    stack.assert_compose_agrees()
}

#[test]
fn an_update_with_nothing_to_do_says_nothing_and_runs_at_most_three_programs() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.picture()?;
    let (tools, log) = (stack.scratch("tools")?, stack.scratch("log")?.join("calls"));
    let path = std::env::var("PATH")?;
    for program in ["git", "docker", "docker-compose", "sh", "id", "ss", "df"] {
        // A program that is counted, then run in the usual surroundings.
        let script =
            format!("#!/bin/sh\necho \"{program} $*\" >> {}\nPATH={path} exec {program} \"$@\"\n", log.display());
        let file = tools.join(program);
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755))?;
    }
    // Nothing else is on the path: a program that is not counted cannot be found.
    let command = cmd!(env!("CARGO_BIN_EXE_xr"), "update", "--yes").env("PATH", &tools);
    Done::of(&["update", "--yes"], stack.surround(command))?.exits(0).says_nothing();
    let calls = std::fs::read_to_string(&log)?;
    ensure!(calls.lines().count() <= 3, "{calls}");
    assert_eq!(before, stack.picture()?);
    Ok(())
}

#[test]
fn a_second_install_changes_nothing() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.picture()?;
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_eq!(before, stack.picture()?);
    stack.assert_compose_agrees()
}

#[test]
fn check_says_10_when_there_is_an_update_and_0_when_not() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.xr(&["update", "--check"])?.exits(0).says_nothing();
    let before = stack.picture()?;
    stack.remote.release("v1.1.0")?;
    let done = stack.xr(&["update", "--check"])?.exits(10);
    ensure!(done.stdout.contains("v1.0.0 → v1.1.0"), "{done}");
    let done = stack.xr(&["update", "--dry-run"])?.exits(0);
    ensure!(done.stdout.contains("switch tree"), "{done}");
    assert_eq!(before, stack.picture()?, "looking changes nothing");
    Ok(())
}

#[test]
fn a_rollback_needs_neither_registry_nor_git_remote() -> Result<()> {
    let lab = xr_lab::Lab::attach_or_up()?;
    let hub = lab.second_registry("promises")?;
    for part in ["server", "frontend", "nginx", "agent", "worker"] {
        for version in ["v1.0.0", "v1.1.0"] {
            let from = format!("{}/acme/orbit-{part}:{version}", lab.registry().address());
            lab.engine().docker(&["pull", "--quiet", &from])?;
            hub.push(lab.engine(), &from, &format!("acme/orbit-{part}:{version}"))?;
        }
    }
    let prefix = format!("{}/acme", hub.address());
    let stack = Stack::installed(&Setup { env: &[("IMAGE_PREFIX", &prefix)], ..Setup::default() })?;
    stack.visit()?;
    let (before, env) = (stack.picture()?, stack.env()?);
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    stack.visit()?;

    hub.stop()?;
    let away = stack.remote.path().with_extension("away");
    std::fs::rename(stack.remote.path(), &away)?;
    stack.xr(&["rollback", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(env, stack.env()?, "every setting as it was");
    assert_eq!(before.head, stack.git(&["rev-parse", "HEAD"])?);
    assert_eq!(
        before.containers.iter().map(|c| &c.image_id).collect::<Vec<_>>(),
        stack.containers()?.iter().map(|c| &c.image_id).collect::<Vec<_>>()
    );
    assert_eq!(stack.visits()?, 2, "data is not rolled back");
    stack.assert_compose_agrees()?;

    stack.xr(&["rollback", "--yes"])?.exits(1).says("nothing before generation 1");
    stack.xr(&["rollback", "--yes", "--to", "v1.1.0"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn a_second_run_is_told_who_holds_the_lock() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    let journals = stack.journals();
    let first = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&first, &journals, 1)?, "the update ended early: {}", first.end()?);
    stack.xr(&["update", "--yes"])?.exits(5).says("xr update, pid");
    stack.xr(&["rollback", "--yes"])?.exits(5);
    first.end()?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn an_interrupted_update_leaves_the_old_version_serving() -> Result<()> {
    let stack = Stack::installed(&Setup { manifest: "[health]\nsettle = \"30s\"\n", ..Setup::default() })?;
    let before = stack.picture()?;
    stack.remote.release("v1.1.0")?;
    // Once while images are pulled or backups made, once when everything new already runs.
    let switched_over = |run: &Background, journals: &[std::path::PathBuf]| -> Result<()> {
        wait_for("the new version", support::PATIENCE, || stack.version().is_ok_and(|v| v == "v1.1.0") || run.ended())?;
        ensure!(stack.journal_lines(journals) > 1);
        Ok(())
    };
    for late in [false, true] {
        let journals = stack.journals();
        let run = stack.start_xr(&["update", "--yes"])?;
        if late {
            switched_over(&run, &journals)?;
        } else {
            stack.wait_for_lines(&run, &journals, 2)?;
        }
        run.signal(Signal::INT)?;
        run.end()?.exits(130).says("interrupted: v1.0.0 serves");
        stack.assert_all_of_it_is("v1.0.0")?;
        let after = stack.picture()?;
        assert_eq!(before.ids(), after.ids());
        assert_eq!((&before.env, &before.head, before.generation), (&after.env, &after.head, after.generation));
        stack.assert_compose_agrees()?;
    }
    Ok(())
}

/// Kills runs of `argv` at growing points of their journal. After each, the next `xr` finds the old or the new version
/// whole; at the end the wanted one is reached.
fn killed_at(stack: &Stack, argv: &[&str], back: &[&str], (from, to): (&str, &str), points: &[usize]) -> Result<()> {
    for lines in points {
        let journals = stack.journals();
        let run = stack.start_xr(argv)?;
        let alive = stack.wait_for_lines(&run, &journals, *lines)?;
        run.signal(Signal::KILL)?;
        let killed = run.end()?;
        ensure!(alive && killed.code == -1, "not killed at line {lines}: {killed}");

        let recovery = stack.xr(&["update", "--check"])?;
        let version = stack.version().with_context(|| format!("killed at line {lines}, then {recovery}"))?;
        ensure!(version == from || version == to, "{version} after line {lines}: {recovery}");
        stack.assert_all_of_it_is(&version).with_context(|| format!("killed at line {lines}, then {recovery}"))?;
        stack.assert_compose_agrees().with_context(|| format!("killed at line {lines}, then {recovery}"))?;
        if version == to {
            stack.xr(back)?.exits(0);
        }
    }
    stack.xr(argv)?.exits(0);
    stack.assert_all_of_it_is(to)
}

#[test]
fn an_update_that_was_killed_is_finished_or_undone_by_the_next_run() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    let postgres = stack.container("postgres")?;
    stack.remote.release("v1.1.0")?;
    let (update, back) = (["update", "--yes", "--to", "v1.1.0"], ["rollback", "--yes", "--to", "v1.0.0"]);
    killed_at(&stack, &update, &back, ("v1.0.0", "v1.1.0"), &[1, 12, 20, 32])?;
    assert_eq!(stack.visits()?, 1);
    assert_eq!(postgres, stack.container("postgres")?);
    Ok(())
}

#[test]
fn a_rollback_that_was_killed_is_finished_or_undone_by_the_next_run() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes", "--to", "v1.1.0"])?.exits(0);
    let (back, forth) = (["rollback", "--yes", "--to", "v1.0.0"], ["rollback", "--yes", "--to", "v1.1.0"]);
    killed_at(&stack, &back, &forth, ("v1.1.0", "v1.0.0"), &[2, 14, 24])
}
