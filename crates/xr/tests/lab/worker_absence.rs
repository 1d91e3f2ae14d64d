//! Workers that are not there: before a run, and in the middle of it.

use anyhow::{Context, Result};
use xr_lab::wait_for;

use crate::support::{PATIENCE, sample, workers::WithWorkers};

const UPDATE: [&str; 4] = ["update", "--yes", "--to", "v1.1.0"];
/// What a test has the patience for.
const QUICKLY: &str = "patience = \"5s\"\nconfirm = \"60s\"\n";

/// Once it is back, the second worker gets what it has missed, by the next update that has nothing else to do.
fn catches_up(fleet: &WithWorkers, version: &str) -> Result<()> {
    fleet.xr(&UPDATE)?.exits(0);
    for at in [0, 1] {
        assert_eq!(fleet.agent_version(at)?, version, "w{}", at + 1);
    }
    fleet.xr(&["doctor"])?.exits(0);
    Ok(())
}

#[test]
fn a_worker_that_is_dead_is_left_out_waited_for_or_stops_the_run_as_the_rule_says() -> Result<()> {
    let fleet = WithWorkers::two("away", QUICKLY)?;
    fleet.hosts[1].kill()?;

    let snapshot = fleet.stack.snapshot()?;
    fleet.rule(&format!("{QUICKLY}away = \"abort\"\n"))?;
    fleet.xr(&UPDATE)?.exits(75).says("error: worker w2").says("hint: nothing was changed");
    assert_eq!(fleet.stack.snapshot()?.ids(), snapshot.ids());
    fleet.rule(&format!("{QUICKLY}quorum = 2\n"))?;
    fleet.xr(&UPDATE)?.exits(75).says("1 of 2 workers are there, and the quorum is 2");
    assert_eq!(fleet.agent_version(0)?, "v1.0.0");

    fleet.rule(QUICKLY)?;
    fleet.xr(&UPDATE)?.exits(0).says("left out; it catches up at its return");
    fleet.stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(fleet.agent_version(0)?, "v1.1.0");
    fleet.xr(&["doctor"])?.exits(6);
    fleet.xr(&["run", "--worker", "w2", "--", "scan"])?.exits(1).says("no host fits: w2: ");

    fleet.hosts[1].revive()?;
    wait_for("the old agent", PATIENCE, || fleet.agent(1).is_ok())?;
    fleet.xr(&["run", "--worker", "w2", "--", "scan"])?.exits(1).says("its version is v1.0.0, not the stack's v1.1.0");
    catches_up(&fleet, "v1.1.0")?;

    fleet.rule(&format!("{QUICKLY}away = \"wait\"\nwait = \"2m\"\n"))?;
    fleet.hosts[1].kill()?;
    let run = fleet.start_xr(&["rollback", "--yes"])?;
    fleet.hosts[1].revive()?;
    run.end()?.exits(0);
    for at in [0, 1] {
        assert_eq!(fleet.agent_version(at)?, "v1.0.0", "w{}", at + 1);
    }
    Ok(())
}

#[test]
fn a_worker_that_dies_in_the_middle_of_a_run_is_left_out_and_catches_up() -> Result<()> {
    let fleet = WithWorkers::two("dies", QUICKLY)?;
    fleet.notice_silence_soon()?;
    for (action, worker) in sample(1, &[("switch_worker", "w2"), ("stage_worker", "w2"), ("verify_fleet", "")]) {
        let journals = fleet.stack.journals();
        let run = fleet.start_xr(&UPDATE)?;
        assert!(fleet.wait_for_step(&run, &journals, action, worker)?, "{action}");
        fleet.hosts[1].kill()?;
        let done = run.end()?.exits(0);
        fleet.stack.assert_all_of_it_is("v1.1.0")?;
        let version = fleet.agent_version(0).with_context(|| format!("{action}: {done}"))?;
        assert_eq!(version, "v1.1.0", "{action}: {done}");
        fleet.hosts[1].revive()?;
        // A machine that was cut off in the middle starts one agent, not two.
        wait_for("one agent", PATIENCE, || fleet.agent(1).is_ok())?;
        catches_up(&fleet, "v1.1.0")?;
        fleet.xr(&["rollback", "--yes"])?.exits(0);
    }
    Ok(())
}

#[test]
fn where_the_rule_is_to_abort_a_worker_that_dies_at_the_switch_takes_the_whole_fleet_back() -> Result<()> {
    let fleet = WithWorkers::two("aborts", QUICKLY)?;
    fleet.rule(&format!("{QUICKLY}away = \"abort\"\n"))?;
    let journals = fleet.stack.journals();
    let run = fleet.start_xr(&UPDATE)?;
    assert!(fleet.wait_for_step(&run, &journals, "switch_worker", "w2")?);
    fleet.hosts[1].kill()?;
    run.end()?.exits(3).says("cause: worker w2");
    fleet.stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(fleet.agent_version(0)?, "v1.0.0");
    fleet.hosts[1].revive()?;
    wait_for("one agent", PATIENCE, || fleet.agent(1).is_ok())?;
    catches_up(&fleet, "v1.1.0")
}
