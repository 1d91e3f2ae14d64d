//! What befalls the way to a worker, and who answers at its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use xr_lab::wait_for;

use crate::support::{PATIENCE, workers::WithWorkers};

const UPDATE: [&str; 2] = ["update", "--yes"];
/// Longer than ssh takes to find a silent connection dead, 15 s: the others wait to be confirmed meanwhile.
const QUICKLY: &str = "patience = \"5s\"\nconfirm = \"45s\"\n";

#[test]
fn a_way_that_breaks_and_mends_in_the_middle_of_the_switch_costs_nothing() -> Result<()> {
    let fleet = WithWorkers::two("mends", QUICKLY)?;
    let journals = fleet.stack.journals();
    let run = fleet.start_xr(&UPDATE)?;
    assert!(fleet.wait_for_step(&run, &journals, "switch_worker", "w2")?);
    fleet.wait_for_swap(1)?;
    fleet.hosts[1].cut()?;
    // Its agent's replacement goes on there; that is what is waited for.
    wait_for("the new agent", PATIENCE, || {
        fleet.agent(1).is_ok_and(|(_, env, _)| env.contains(&"IMAGE_TAG=v1.1.0".to_owned()))
    })?;
    fleet.hosts[1].mend()?;
    run.end()?.exits(0);
    fleet.assert_workers_are("v1.1.0")
}

#[test]
fn a_worker_whose_packets_are_dropped_at_the_switch_goes_back_by_itself() -> Result<()> {
    let fleet = WithWorkers::two("half-open", QUICKLY)?;
    let journals = fleet.stack.journals();
    let begun = Instant::now();
    let run = fleet.start_xr(&UPDATE)?;
    assert!(fleet.wait_for_step(&run, &journals, "switch_worker", "w2")?);
    fleet.hosts[1].drop_packets()?;
    run.end()?.exits(0).says("worker w2");
    assert!(begun.elapsed() < Duration::from_secs(300), "it must not wait for ever");
    fleet.stack.assert_all_of_it_is("v1.1.0")?;
    wait_for("the old agent to serve again", PATIENCE, || {
        fleet.agent_version(1).is_ok_and(|version| version == "v1.0.0")
    })?;
    let doctor = fleet.xr(&["doctor"])?.exits(6);
    assert!(doctor.stdout.contains("worker w2"), "{doctor}");
    fleet.hosts[1].pass_packets()?;
    // TCP asks again ever more seldom: a connection that was half-open may stay silent longer than a worker is waited for.
    fleet.forget_connections()?;
    fleet.xr(&UPDATE)?.exits(0);
    fleet.assert_workers_are("v1.1.0")
}

#[test]
fn a_slow_line_only_takes_longer() -> Result<()> {
    let fleet = WithWorkers::two("slow", QUICKLY)?;
    let _line = fleet.hosts[1].slow(Duration::from_millis(150), 256 << 10)?;
    fleet.xr(&UPDATE)?.exits(0);
    fleet.assert_workers_are("v1.1.0")
}

#[test]
fn another_host_key_and_a_key_that_is_refused_are_told_and_nothing_is_said_to_the_host() -> Result<()> {
    let fleet = WithWorkers::two("keys", QUICKLY)?;
    fleet.forget_connections()?;
    let agent = fleet.agent(1)?;
    fleet.hosts[1].must("rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null")?;
    fleet.hosts[1].reload_sshd()?;
    let doctor = fleet.xr(&["doctor"])?.exits(6);
    assert!(doctor.stdout.contains("the host key is not the one that was accepted"), "{doctor}");
    fleet
        .xr(&["worker", "add", "w2", "--yes"])?
        .exits(1)
        .says("not the one that was accepted")
        .says("hint: compare the fingerprint");
    fleet.xr(&UPDATE)?.exits(0).says("worker w2: w2: the host key is not the one");
    assert_eq!(fleet.agent(1)?, agent);

    fleet.forget_connections()?;
    fleet.hosts[0].must("mv /etc/ssh/lab_keys /etc/ssh/lab_keys.away")?;
    let doctor = fleet.xr(&["doctor"])?.exits(6);
    assert!(doctor.stdout.contains("w1 does not let this user in"), "{doctor}");
    fleet.xr(&["worker", "exec", "w1", "--", "true"])?.exits(255);
    fleet.hosts[0].must("mv /etc/ssh/lab_keys.away /etc/ssh/lab_keys")?;
    fleet.xr(&["worker", "exec", "w1", "--", "echo", "a b"])?.exits(0);
    Ok(())
}
