//! The main job on a machine that has nothing: install, update, rollback, each step looked at from outside.

use anyhow::{Result, ensure};
use xr_lab::HostKind;

use crate::support::{
    QUICK,
    machine::{Machine, STACK},
};

const SECRETS: [&str; 4] = ["DB_PASSWORD", "SECRET_KEY", "WORKER_API_KEY", "DJANGO_SUPERUSER_PASSWORD"];

#[test]
fn a_host_without_docker_is_installed_updated_and_rolled_back() -> Result<()> {
    let machine = Machine::new(HostKind::Fresh, "fresh", "")?;
    ensure!(!machine.does("command -v docker"), "the host is not fresh");
    machine.xr("install --yes")?;
    machine.assert_it_is("v1.0.0")?;
    let installed = machine.env()?;
    for key in SECRETS {
        let secret = &installed[key];
        ensure!(secret.len() >= 24 && secret.chars().all(|c| c.is_ascii_hexdigit()), "{key} was not generated");
    }
    machine.http("POST", "/api/visits")?;
    machine.http("POST", "/api/visits")?;
    machine.host.must(&format!("printf 'MINE=kept' >> {STACK}/docker/.env"))?;

    // The first install and the rollback are watched for as long as they are where nobody says how long.
    std::fs::write(machine.remote.work().join("xr.toml"), QUICK)?;
    machine.remote.release("v1.1.0")?;
    machine.publish()?;
    machine.xr("update --yes --to v1.1.0")?;
    // The worker's image is looked at too, before any task asked for it.
    machine.assert_it_is("v1.1.0")?;
    let updated = machine.env()?;
    for key in SECRETS.into_iter().chain(["DB_HOST", "HTTP_PORT", "DATA_DIR"]) {
        assert_eq!(installed[key], updated[key], "{key}");
    }
    assert_eq!(updated["MINE"], "kept");
    assert_eq!(machine.visits()?, 2);
    machine.http("POST", "/api/visits")?;

    machine.host.must("rm -rf /var/lib/publisher")?;
    machine.xr("rollback --yes")?;
    machine.assert_it_is("v1.0.0")?;
    let back = machine.env()?;
    assert!(installed.iter().all(|(key, value)| back.get(key) == Some(value)), "every setting as it was");
    assert_eq!(machine.visits()?, 3, "data is not rolled back");
    let task = machine.host.must("docker run --rm --pull=never acme/orbit-worker:v1.0.0 scan")?;
    ensure!(task.contains("v1.0.0"), "{task}");
    Ok(())
}
