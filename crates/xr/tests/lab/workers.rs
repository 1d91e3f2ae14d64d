//! Workers over ssh: one version on every host, from the first to the last.

use anyhow::Result;
use xr_lab::HostKind;

use crate::support::{Setup, workers::WithWorkers};

#[test]
fn three_workers_get_each_version_with_the_stack_and_run_its_tasks() -> Result<()> {
    let kinds = [HostKind::Docker, HostKind::Fresh, HostKind::Docker];
    let fleet = WithWorkers::new(&Setup::default(), "fleet", &kinds)?;
    // The third stands behind the first.
    fleet.write_config(&|at| if at == 2 { "  ProxyJump w1\n".to_owned() } else { String::new() })?;
    let server = format!(
        "http://{}:{}",
        fleet.stack.lab.registry().address_for_hosts(fleet.stack.lab.engine()).split(':').next().unwrap_or_default(),
        fleet.stack.port
    );

    fleet.xr(&["worker", "add", "w1"])?.exits(2).says("host key").says("hint: add --yes");
    let added = fleet.xr(&["worker", "add", "w1", "--yes", "--label", "zone=eu"])?.exits(0);
    added.says("host key 256 SHA256:");
    fleet.xr(&["worker", "add", "w2", "--yes", "--label", "zone=us"])?.exits(0);
    fleet.xr(&["worker", "add", "w3", "--yes", "--server", &server])?.exits(0);
    fleet.assert_workers_are("v1.0.0")?;

    // Again: nothing changes.
    let before = fleet.agent(1)?;
    fleet.xr(&["worker", "add", "w2", "--yes"])?.exits(0);
    assert_eq!(fleet.agent(1)?, before);

    fleet.stack.remote.release("v1.1.0")?;
    fleet.xr(&["update", "--yes"])?.exits(0);
    fleet.stack.assert_all_of_it_is("v1.1.0")?;
    fleet.assert_workers_are("v1.1.0")?;
    let status = fleet.xr(&["status"])?.exits(0);
    assert!(status.stdout.contains("workers: 3 of 3 at v1.1.0 when last seen"), "{status}");

    for worker in ["w1", "w2", "w3", "local"] {
        let done = fleet.xr(&["run", "--worker", worker, "--", "scan"])?.exits(0);
        assert_eq!(done.stdout.trim(), r#"{"task": "scan", "version": "v1.1.0", "result": "ok"}"#, "{done}");
    }
    let done = fleet.xr(&["run", "--on", "zone=us", "--", "scan"])?.exits(0);
    done.says("on w2");

    let rows = fleet.rows()?;
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(row["reachable"] == true && row["agent"] == "v1.1.0" && row["drift"] == serde_json::json!([]), "{row}");
        assert!(row["heartbeat"].is_string() && row["engine"].is_string() && row["image"].is_string(), "{row}");
    }
    let doctor = fleet.xr(&["doctor"])?.exits(0);
    assert!(doctor.stdout.contains("WORKER") && doctor.stdout.contains("w3"), "{doctor}");

    fleet.xr(&["rollback", "--yes"])?.exits(0);
    fleet.stack.assert_all_of_it_is("v1.0.0")?;
    fleet.assert_workers_are("v1.0.0")?;

    fleet.xr(&["worker", "remove", "w2", "--yes"])?.exits(0);
    assert_eq!(fleet.hosts[1].must("docker ps -aq")?, "");
    assert_eq!(fleet.rows()?.len(), 2);
    Ok(())
}

#[test]
fn a_worker_that_only_lacks_an_image_gets_it_and_its_agent_goes_on() -> Result<()> {
    let fleet = WithWorkers::new(&Setup::default(), "lacks", &[HostKind::Docker])?;
    fleet.add_all()?;
    let agent = || fleet.hosts[0].must("docker inspect -f '{{.Id}} {{.State.StartedAt}}' $(docker ps -q)");
    let before = agent()?;
    for bring in [["install", "--yes"].as_slice(), &["worker", "sync"]] {
        fleet.hosts[0].must("docker rmi -f $(docker images -q acme/orbit-worker)")?;
        // Without this there is nothing to install.
        fleet.stack.docker(&["stop", "-t1", &fleet.stack.container("server")?.id])?;
        fleet.xr(bring)?.exits(0);
        fleet.assert_workers_are("v1.0.0")?;
        assert_eq!(agent()?, before, "{bring:?}");
    }
    Ok(())
}

#[test]
fn a_worker_that_reaches_no_registry_gets_its_images_from_the_control_host() -> Result<()> {
    let fleet = WithWorkers::new(&Setup::default(), "no-registry", &[HostKind::Docker])?;
    fleet.rule("patience = \"10s\"\n")?;
    let worker = &fleet.hosts[0];
    worker.stop_engine()?;
    worker.must("echo '{}' >/etc/docker/daemon.json")?;
    worker.start_engine()?;

    fleet.xr(&["worker", "add", "w1", "--yes"])?.exits(0);
    fleet.assert_workers_are("v1.0.0")?;
    fleet.stack.remote.release("v1.1.0")?;
    fleet.xr(&["update", "--yes"])?.exits(0);
    fleet.assert_workers_are("v1.1.0")?;
    fleet.xr(&["doctor"])?.exits(0);
    // All of it again, asked for by name.
    worker.must("docker rm -f $(docker ps -aq) && docker rmi -f $(docker images -q)")?;
    fleet.xr(&["worker", "sync", "--images-from", "here"])?.exits(0);
    fleet.assert_workers_are("v1.1.0")?;
    assert!(
        !fleet.stack.root.join(".xr/parcels").exists()
            || fleet.stack.root.join(".xr/parcels").read_dir()?.next().is_none()
    );
    Ok(())
}
