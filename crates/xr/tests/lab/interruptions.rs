//! Interrupted anywhere, by anything: the old version serves or the new one, and history tells which.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xr_lab::wait_for;

use crate::support::{Background, PATIENCE, Setup, Stack, sample};

#[test]
fn a_second_run_is_told_who_holds_the_lock() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    let journals = stack.journals();
    let first = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&first, &journals, 1)?, "the update ended early: {}", first.end()?);
    stack.xr(&["update", "--yes"])?.exits(5).says("xr update (pid ").says(", now: ");
    stack.xr(&["rollback", "--yes", "--wait", "1s"])?.exits(5);
    // One that waits long enough finds the work done.
    stack.xr(&["update", "--yes", "--wait", "2m"])?.exits(0);
    first.end()?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn an_interrupted_update_leaves_the_old_version_serving() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.snapshot()?;
    // Watched for longer than the interruption takes.
    std::fs::write(stack.remote.work().join("xr.toml"), "[health]\nsettle = \"30s\"\n")?;
    stack.remote.release("v1.1.0")?;
    // Once while images are pulled or backups made, once when everything new already runs.
    let switched_over = |run: &Background, journals: &[std::path::PathBuf]| -> Result<()> {
        wait_for("the new version", PATIENCE, || stack.version().is_ok_and(|v| v == "v1.1.0") || run.ended())?;
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
        let after = stack.snapshot()?;
        assert_eq!(before.ids(), after.ids());
        assert_eq!((&before.env, &before.head, before.generation), (&after.env, &after.head, after.generation));
        stack.assert_compose_agrees()?;
    }
    Ok(())
}

/// Kills runs of `argv`, with everything in their process group, at growing points of their journal. After each the old
/// version serves or the new one once `ends` has returned.
fn killed_at(
    stack: &Stack,
    argv: &[&str],
    back: &[&str],
    (from, to): (&str, &str),
    points: &[usize],
    ends: impl Fn() -> Result<()>,
) -> Result<()> {
    for lines in points {
        let journals = stack.journals();
        let run = stack.start_xr(argv)?;
        let alive = stack.wait_for_lines(&run, &journals, *lines)?;
        run.kill_group()?;
        let after = || format!("killed at line {lines}");
        ends().with_context(after)?;
        let killed = run.end()?;
        ensure!(alive && killed.code == -1, "not killed at line {lines}: {killed}");
        let version = stack.version().with_context(after)?;
        ensure!(version == from || version == to, "{version} after line {lines}");
        stack.assert_all_of_it_is(&version).with_context(after)?;
        stack.assert_compose_agrees().with_context(after)?;
        if version == to {
            stack.xr(back)?.exits(0);
        }
    }
    stack.xr(argv)?.exits(0).never_says("did not end");
    stack.assert_all_of_it_is(to)
}

#[test]
fn an_update_that_was_killed_is_finished_or_undone_by_its_guard_without_an_admin() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    let postgres = stack.container("postgres")?;
    stack.remote.release("v1.1.0")?;
    let (update, back) = (["update", "--yes", "--to", "v1.1.0"], ["rollback", "--yes", "--to", "v1.0.0"]);
    killed_at(&stack, &update, &back, ("v1.0.0", "v1.1.0"), sample(2, &[20, 1, 12, 32]), || {
        wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())
    })?;
    assert_eq!(stack.visits()?, 1);
    assert_eq!(postgres, stack.container("postgres")?);
    Ok(())
}

#[test]
fn a_rollback_that_was_killed_with_its_guard_is_finished_or_undone_by_the_next_run() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes", "--to", "v1.1.0"])?.exits(0);
    let (back, forth) = (["rollback", "--yes", "--to", "v1.0.0"], ["rollback", "--yes", "--to", "v1.1.0"]);
    killed_at(&stack, &back, &forth, ("v1.1.0", "v1.0.0"), sample(1, &[14, 2, 24]), || {
        stack.kill_guards()?;
        stack.xr(&["status"])?.exits(0);
        stack.xr(&["recover"])?.exits(0);
        Ok(())
    })
}

#[test]
fn a_killed_update_can_be_recovered_to_the_new_version() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    let journals = stack.journals();
    let run = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&run, &journals, 20)?);
    run.kill_group()?;
    stack.kill_guards()?;
    run.end()?;
    stack.xr(&["recover", "--to", "new"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    stack.xr(&["recover"])?.exits(0);
    assert_eq!(stack.version()?, "v1.1.0");
    Ok(())
}

#[test]
fn a_run_outlives_its_terminal_and_a_second_ctrl_c_leaves_the_rest_to_the_guard() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.snapshot()?;
    stack.remote.release("v1.1.0")?;
    let journals = stack.journals();
    let run = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&run, &journals, 20)?);
    wait_for("its end", PATIENCE, || run.signal(Signal::INT).is_err() || run.ended())?;
    run.end()?.exits(130).says("once more leaves at once").says("in the background");
    wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())?;
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(before.ids(), stack.snapshot()?.ids());

    let journals = stack.journals();
    let run = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&run, &journals, 5)?);
    run.signal(Signal::HUP)?;
    run.end()?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

/// Whether compose is in the middle of replacing a container: the old one has been given a name of its own for that moment.
fn replacing(stack: &Stack) -> Result<bool> {
    let prefixed = |name: &str| name.split_once('_').is_some_and(|(hash, _)| hash.len() == 12);
    Ok(stack.containers()?.iter().any(|container| prefixed(&container.name)))
}

/// Kills the docker client in the stack's folder and its plugin, which does the work and has a process group of its own.
fn kill_compose(stack: &Stack) -> Result<()> {
    let folder = stack.root.join("docker");
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let here = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
        if let Some(pid) = pid.filter(|_| here) {
            // One that has just ended is as good as killed.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

#[test]
fn what_a_killed_compose_has_left_is_found_by_the_doctor_and_gone_after_an_install() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    // It may be faster than its killer.
    for tries in 1.. {
        let argv = ["compose", "--profile", "local-db", "up", "-d", "--force-recreate", "server", "nginx"];
        let command = duct::cmd("docker", argv).dir(stack.root.join("docker"));
        let compose = Background::start(&argv, stack.with_environment(command))?;
        // Asked without a pause: it is in the middle for a moment only.
        while !replacing(&stack).unwrap_or(false) && !compose.ended() {}
        kill_compose(&stack)?;
        compose.end()?;
        if replacing(&stack)? {
            break;
        }
        ensure!(tries < 20, "compose was always faster than its killer");
    }
    let doctor = stack.xr(&["doctor"])?;
    // Whether the new one runs already, which makes it a warning, is chance.
    ensure!([0, 6].contains(&doctor.code) && doctor.stdout.contains("was left by an interrupted run"), "{doctor}");
    stack.xr(&["install", "--yes"])?.exits(0);
    ensure!(!replacing(&stack)?, "a container of compose's was left: {:#?}", stack.containers()?);
    stack.assert_all_of_it_is("v1.0.0")?;
    stack.assert_compose_agrees()
}
