//! A release that does not work: the old version serves again by itself, and everybody is told why.

use anyhow::Result;

use crate::support::{QUICK, Setup, Stack};

/// The server gets eight seconds instead of its own check's hundred; crashes after health are watched for six.
const PATIENT: &str = "[services.server]\npatience = \"8s\"\n\n[health]\nsettle = \"6s\"\n";

/// Updates to a bad release, which must leave nothing behind but its entry in the history; then to a good one.
fn refused_by_its_own_health(bad: &str, cause: &str, log: &str) -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    let before = stack.snapshot()?;
    let manifest = stack.remote.work().join("xr.toml");
    std::fs::write(&manifest, PATIENT)?;
    stack.remote.release(bad)?;

    let done = stack.xr(&["update", "--yes"])?.exits(3);
    let done = done.says(&format!("update to {bad} failed and was rolled back: v1.0.0 is healthy"));
    done.says("cause: server").says(cause).says("last lines of server:").says(log).says("hint: ");
    stack.assert_all_of_it_is("v1.0.0")?;
    let after = stack.snapshot()?;
    assert_eq!(before.ids(), after.ids(), "the old containers, and no other");
    assert_eq!(
        (before.env, before.version, before.head, before.status, before.generation, before.generations),
        (after.env, after.version, after.head, after.status, after.generation, after.generations)
    );
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()?;

    let history = stack.history()?;
    let runs = history["runs"].as_array().cloned().unwrap_or_default();
    assert_eq!(runs.len(), 2, "{history:#}");
    let last = runs.last().map(ToString::to_string).unwrap_or_default();
    assert!(last.contains("rolled_back") && last.contains(bad) && last.contains("server"), "{history:#}");

    std::fs::write(&manifest, QUICK)?;
    stack.remote.release("v1.3.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.3.0")?;
    assert_eq!(stack.visits()?, 1);
    stack.xr(&["rollback", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")
}

#[test]
fn a_release_that_never_gets_healthy_is_taken_back() -> Result<()> {
    refused_by_its_own_health("v1.2.0", "is not healthy", "orbit v1.2.0 listens")
}

#[test]
fn a_release_that_crashes_after_it_was_healthy_is_taken_back() -> Result<()> {
    refused_by_its_own_health("v1.2.1", "became healthy, then", "orbit v1.2.1 listens")
}

#[test]
fn a_first_install_that_fails_keeps_the_settings_and_runs_nothing() -> Result<()> {
    let stack = Stack::new(&Setup { versions: &["v1.2.0"], manifest: PATIENT, ..Setup::default() })?;
    stack.xr(&["install", "--yes"])?.exits(1).says("cause: server").says("is not healthy");
    assert!(stack.containers()?.iter().all(|container| container.state != "running"));
    assert_eq!(stack.setting("DB_PASSWORD")?, "0a1b2c3d4e5f60718293a4b5c6d7e8f9");
    assert!(stack.http("GET", "/api/").is_err());

    std::fs::write(stack.remote.work().join("xr.toml"), QUICK)?;
    stack.remote.release("v1.3.0")?;
    stack.git(&["pull", "--quiet"])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.3.0")
}
