//! Troubles on a worker itself, and the end of who commands it.

use anyhow::Result;
use xr_lab::wait_for;

use crate::support::{PATIENCE, workers::WithWorkers};

const UPDATE: [&str; 2] = ["update", "--yes"];
const QUICKLY: &str = "patience = \"5s\"\nconfirm = \"20s\"\n";

#[test]
fn an_engine_that_is_stopped_and_a_clock_that_is_wrong_are_told_and_mended_workers_catch_up() -> Result<()> {
    let fleet = WithWorkers::two("trouble", QUICKLY)?;

    fleet.hosts[1].stop_engine()?;
    fleet.xr(&UPDATE)?.exits(0).says("worker w2: w2: the Docker engine does not answer");
    let doctor = fleet.xr(&["doctor"])?.exits(6);
    assert!(doctor.stdout.contains("the Docker engine does not answer"), "{doctor}");
    fleet.hosts[1].start_engine()?;
    wait_for("the old agent", PATIENCE, || fleet.agent(1).is_ok())?;
    fleet.xr(&["worker", "sync"])?.exits(0);
    fleet.assert_workers_are("v1.1.0")?;

    fleet.hosts[1].set_clock(3600)?;
    fleet.forget_connections()?;
    let doctor = fleet.xr(&["doctor"])?.exits(6);
    assert!(doctor.stdout.contains("s ahead") && doctor.stdout.contains("worker w2"), "{doctor}");
    fleet.hosts[1].right_clock()
}

#[test]
fn a_worker_whose_disk_is_full_stops_the_run_before_anything_is_touched_or_is_left_out_by_the_quorum() -> Result<()> {
    let fleet = WithWorkers::one_with_small_disk("full", 1600)?;
    fleet.rule(QUICKLY)?;
    fleet.add_all()?;
    fleet.stack.remote.release("v1.1.0")?;
    let snapshot = fleet.stack.snapshot()?;
    fleet.hosts[0].fill_disk()?;
    for quorum in ["all", "majority"] {
        fleet.rule(&format!("{QUICKLY}quorum = \"{quorum}\"\n"))?;
        fleet.xr(&UPDATE)?.exits(1).says("worker w1").says("hint: ");
        assert_eq!(fleet.stack.snapshot()?.ids(), snapshot.ids());
        assert_eq!((fleet.agent_version(0)?, fleet.agent_version(1)?), ("v1.0.0".to_owned(), "v1.0.0".to_owned()));
    }
    fleet.rule(&format!("{QUICKLY}quorum = 1\n"))?;
    fleet.xr(&UPDATE)?.exits(0).says("worker w1").says("left out: the others are enough");
    assert_eq!((fleet.agent_version(0)?, fleet.agent_version(1)?), ("v1.0.0".to_owned(), "v1.1.0".to_owned()));
    fleet.hosts[0].free_disk()?;
    // It has failed a moment ago: by itself xr tries it again only later.
    fleet.xr(&UPDATE)?.exits(0).says("xr worker sync w1");
    fleet.xr(&["worker", "sync", "w1"])?.exits(0);
    fleet.assert_workers_are("v1.1.0")
}

#[test]
fn a_fleet_whose_controller_is_killed_in_the_middle_of_the_switch_ends_at_one_version() -> Result<()> {
    let fleet = WithWorkers::two("killed", "confirm = \"60s\"\n")?;
    for (action, worker) in [("stage_worker", "w2"), ("switch_worker", "w2"), ("confirm_worker", "w1")] {
        let journals = fleet.stack.journals();
        let run = fleet.start_xr(&UPDATE)?;
        assert!(fleet.wait_for_step(&run, &journals, action, worker)?, "{action}");
        run.kill_group()?;
        fleet.stack.wait_until_nobody_is_at_work()?;
        fleet.xr(&["recover"])?.exits(0);
        let version = fleet.stack.version()?;
        fleet.stack.assert_all_of_it_is(&version)?;
        fleet.assert_workers_are(&version)?;
        if version == "v1.1.0" {
            fleet.xr(&["rollback", "--yes"])?.exits(0);
        }
        assert_eq!(version == "v1.1.0", action == "confirm_worker", "{action}");
    }
    Ok(())
}
