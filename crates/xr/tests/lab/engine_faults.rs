//! An engine that dies or is restarted under a run, and a machine that loses its power: one version serves afterwards, the
//! exit code tells which, and what the boot or the next command does makes it whole.

use anyhow::{Context, Result, ensure};
use xr_lab::HostKind;

use crate::support::{
    QUICK,
    machine::{Machine, STACK},
    sample,
};

/// Two versions that were both here, the first serving, and two rows.
fn prepared(name: &str, manifest: &str) -> Result<Machine> {
    let machine = Machine::new(HostKind::Docker, name, manifest)?;
    // The part of systemd that `xr install` asks for.
    machine.host.must(
        "mkdir -p /run/systemd/system && printf '#!/bin/sh\\n' > /usr/local/bin/systemctl && chmod +x /usr/local/bin/systemctl",
    )?;
    machine.xr("install --yes")?;
    machine.host.must("rm -rf /run/systemd /usr/local/bin/systemctl")?;
    machine.http("POST", "/api/visits")?;
    machine.http("POST", "/api/visits")?;
    // What goes forward is watched for a moment only, whatever the first version said.
    std::fs::write(machine.remote.work().join("xr.toml"), QUICK)?;
    machine.remote.release("v1.1.0")?;
    machine.publish()?;
    machine.xr("update --yes --to v1.1.0")?;
    machine.assert_it_is("v1.1.0")?;
    Ok(machine)
}

fn other(version: &str) -> &'static str {
    if version == "v1.0.0" { "v1.1.0" } else { "v1.0.0" }
}

/// The Docker daemon ends as nobody asked it to, and is started again.
const KILLED: &str = "pkill -KILL -x dockerd; while pgrep -x dockerd >/dev/null; do sleep 0.05; done; \
                      rm -f /var/run/docker.pid /var/run/docker-ssd.pid; service docker start";
const RESTARTED: &str = "service docker restart";

/// One fault: going to the other version, what happens in which step, what serves afterwards.
fn engine_fails(machine: &Machine, serves: &str, action: &str, fault: &str) -> Result<String> {
    let wanted = other(serves);
    machine.interrupt(&format!("rollback --yes --to {wanted}"), action, fault)?;
    machine.docker_answers()?;
    let code = machine.ended()?;
    let said = machine.host.must("cat /var/log/run.log")?;
    ensure!(["0", "3", "4"].contains(&code.as_str()) && !said.contains("panicked"), "{code}: {said}");
    machine.xr("recover")?;
    let now = machine.assert_whole(2)?;
    ensure!(code != "0" || now == wanted, "it said that {wanted} serves: {said}");
    ensure!(code != "3" || now == serves, "it said that {serves} serves: {said}");
    ensure!(machine.newest_run_has_ended(), "no end in the journal");
    Ok(now)
}

#[test]
fn an_engine_that_is_killed_or_restarted_under_a_run_leaves_one_version_serving() -> Result<()> {
    let machine = prepared("engine", QUICK)?;
    let mut serves = "v1.1.0".to_owned();
    for (live_restore, action, how, fault) in sample(
        3,
        &[
            (true, "start", "killed", KILLED),
            (false, "start", "restarted", RESTARTED),
            (false, "create_containers", "killed", KILLED),
            (true, "create_containers", "killed", KILLED),
            (true, "create_containers", "restarted", RESTARTED),
            (true, "start", "restarted", RESTARTED),
            (false, "create_containers", "restarted", RESTARTED),
            (false, "start", "killed", KILLED),
        ],
    ) {
        // Containers go on without the engine, or end with it: https://docs.docker.com/engine/daemon/live-restore/
        machine.host.must(&format!(
            "sed -i '/live-restore/d; s/^{{/{{\\n \"live-restore\": {live_restore},/' /etc/docker/daemon.json
             pkill -HUP -x dockerd
             until [ $(docker info --format '{{{{.LiveRestoreEnabled}}}}') = {live_restore} ]; do sleep 0.1; done"
        ))?;
        serves = engine_fails(&machine, &serves, action, fault)
            .with_context(|| format!("live-restore {live_restore}, {how} in mid-{action}:\n{}", machine.story()))?;
    }
    machine.xr(&format!("rollback --yes --to {}", other(&serves)))?;
    machine.assert_it_is(other(&serves))
}

#[test]
fn a_power_cut_in_mid_run_leaves_one_version_and_what_the_boot_does_makes_it_whole() -> Result<()> {
    // Watched for as long as xr does by itself: the cut has to come before the end.
    let machine = prepared("power", "")?;
    // What systemd would run once Docker is up.
    let at_boot = machine.host.must("sed -n 's/^ExecStart=//p' /etc/systemd/system/xr-recover-*.service")?;
    ensure!(at_boot.contains("recover") && at_boot.contains(STACK), "{at_boot}");
    let mut serves = "v1.1.0".to_owned();
    let status = "cd /; xr --stack /srv/orbit status";
    for (action, boot) in sample(2, &[("start", status), ("stop_old", &at_boot), ("switch_files", &at_boot)]) {
        let case = || format!("cut off in mid-{action}");
        let wanted = other(&serves);
        machine.interrupt(&format!("rollback --yes --to {wanted}"), action, "true").with_context(case)?;
        machine.host.cut_power().with_context(case)?;
        machine.docker_answers().with_context(case)?;
        ensure!(!machine.newest_run_has_ended(), "{}: the run had ended before", case());
        let both = "docker ps --filter label=com.docker.compose.service=postgres -q | wc -l";
        assert_eq!(machine.host.must(both)?, "1", "{}: two databases on one volume", case());
        machine.host.must(boot).with_context(case)?;
        if *boot != at_boot {
            // Without systemd: the next command that changes something does it first.
            machine.xr("start").with_context(case)?;
        }
        ensure!(machine.newest_run_has_ended(), "{}", case());
        serves = machine.assert_whole(2).with_context(case)?;
    }
    machine.xr(&format!("rollback --yes --to {}", other(&serves)))?;
    machine.assert_it_is(other(&serves))
}
