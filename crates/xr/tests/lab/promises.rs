//! What xr promises an admin, on a real engine, registry and git remote.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use duct::cmd;

use crate::support::{Done, Setup, Stack};

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
    let before = stack.snapshot()?;
    let (tools, log) = (stack.scratch("tools")?, stack.scratch("log")?.join("calls"));
    let path = std::env::var("PATH")?;
    std::fs::create_dir(tools.join("cli-plugins"))?;
    for program in ["git", "docker", "docker-compose", "sh", "id", "ss", "df"] {
        // A program that is counted, then run in the usual surroundings.
        let (file, real) = match program {
            "docker-compose" => (tools.join("cli-plugins").join(program), "docker"),
            _ => (tools.join(program), program),
        };
        let script = format!(
            "#!/bin/sh\necho \"{program} $*\" >> {}\nunset DOCKER_CONFIG\nPATH={path} exec {real} \"$@\"\n",
            log.display()
        );
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755))?;
    }
    // Nothing else is on the path or among the plugins: a program that is not counted cannot be found.
    let command = cmd!(env!("CARGO_BIN_EXE_xr"), "update", "--yes").env("PATH", &tools).env("DOCKER_CONFIG", &tools);
    Done::of(&["update", "--yes"], stack.with_environment(command))?.exits(0).says_nothing();
    let calls = std::fs::read_to_string(&log)?;
    ensure!(calls.lines().count() <= 3, "{calls}");
    assert_eq!(before, stack.snapshot()?);
    Ok(())
}

#[test]
fn a_second_install_changes_nothing() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.snapshot()?;
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_eq!(before, stack.snapshot()?);
    stack.assert_compose_agrees()
}

#[test]
fn check_says_10_when_there_is_an_update_and_0_when_not() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.xr(&["update", "--check"])?.exits(0).says_nothing();
    let before = stack.snapshot()?;
    stack.remote.release("v1.1.0")?;
    let done = stack.xr(&["update", "--check"])?.exits(10);
    ensure!(done.stdout.contains("v1.0.0 → v1.1.0"), "{done}");
    let done = stack.xr(&["update", "--dry-run"])?.exits(0);
    ensure!(done.stdout.contains("switch tree"), "{done}");
    assert_eq!(before, stack.snapshot()?, "looking changes nothing");
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
    let (before, env) = (stack.snapshot()?, stack.env()?);
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
