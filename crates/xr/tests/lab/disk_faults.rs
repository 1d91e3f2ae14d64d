//! Disks that are full or fail, before a run and in the middle of one: the old version serves or the new one, xr says
//! which disk it is and what to do, and once the fault is gone the next command makes the stack whole.

use anyhow::{Result, ensure};
use xr_lab::{HostKind, wait_for};

use crate::support::{Done, PATIENCE, QUICK, Setup, Stack, disk::Disk, machine::Machine, sample};

const UPDATE: [&str; 2] = ["update", "--yes"];
/// A backup that lasts until the test lets it end: a run stands still before anything is switched.
const GATE: &str = r#"
[[backups]]
name = "gate"
image = "redis"
command = ["sh", "-c", "until [ -e /tmp/open ]; do sleep 0.1; done; echo open"]
"#;

/// Starts an update, and does something to a disk once its journal has so many lines. Gives how it ended.
fn update_and(stack: &Stack, lines: usize, happens: impl FnOnce() -> Result<()>) -> Result<Done> {
    let journals = stack.journals();
    let run = stack.start_xr(&UPDATE)?;
    let alive = stack.wait_for_lines(&run, &journals, lines)?;
    happens()?;
    ensure!(alive, "the update ended before its line {lines}: {}", run.end()?);
    run.end()
}

/// The commands that only look answer, whatever the disk is like.
fn looking_works(stack: &Stack) -> Result<()> {
    for argv in [["status"], ["history"]] {
        stack.xr(&argv)?.exits(0).never_says("panicked");
    }
    Ok(())
}

#[test]
fn a_full_disk_under_the_records_keeps_no_stack_down_and_no_run_open() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    let disk = Disk::under(&stack.root.join(".xr"), 96, &stack.scratch("disk")?)?;
    stack.xr(&["install", "--yes"])?.exits(0);
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;

    // Before a run: refused.
    disk.fill()?;
    let refused = stack.xr(&UPDATE)?.exits(1);
    refused.says("/.xr").says("hint: ").says("df -h").never_says("panicked");
    assert_eq!(before, stack.snapshot()?);
    looking_works(&stack)?;
    let doctor = stack.xr(&["doctor"])?.exits(6);
    ensure!(doctor.stdout.contains("/.xr"), "{doctor}");

    // A stack that is down comes up again without room: the reserve is for that.
    stack.xr(&["stop", "--yes"])?.exits(0);
    stack.xr(&["start"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    disk.clear()?;

    // In the middle of a run: taken back, and the journal says so.
    let failed = update_and(&stack, 12, || disk.fill())?.exits(3);
    failed.says("No space left on device").says("was rolled back: v1.0.0 is healthy").says("hint: ").says("df -h");
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(before.ids(), stack.snapshot()?.ids());
    ensure!(stack.newest_run_has_ended());
    disk.clear()?;

    // Killed, with its guard, and then the disk fills up.
    let journals = stack.journals();
    let run = stack.start_xr(&UPDATE)?;
    ensure!(stack.wait_for_lines(&run, &journals, 20)?);
    run.kill_group()?;
    stack.kill_guards()?;
    run.end()?;
    disk.fill()?;
    stack.xr(&["recover"])?.exits(0);
    ensure!(stack.newest_run_has_ended());
    stack.assert_all_of_it_is("v1.0.0")?;
    disk.clear()?;
    stack.xr(&UPDATE)?.exits(0).never_says("did not end");
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()
}

#[test]
fn a_full_disk_under_the_settings_is_refused_before_a_run_and_leaves_the_way_back_open_during_one() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    let disk = Disk::under(&stack.root.join("docker"), 96, &stack.scratch("disk")?)?;
    stack.xr(&["install", "--yes"])?.exits(0);
    // Watched for so long that the disk can fill up meanwhile.
    std::fs::write(stack.remote.work().join("xr.toml"), format!("[health]\nsettle = \"30s\"\n{GATE}"))?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;

    disk.fill()?;
    stack.xr(&UPDATE)?.exits(1).says("too little disk at ").says("/docker").says("hint: df -h");
    disk.clear()?;
    assert_eq!(before, stack.snapshot()?);

    // Full before the files are switched: nothing has changed, so nothing has to be written to go back.
    let redis = stack.container("redis")?.id;
    let failed = update_and(&stack, 2, || {
        disk.fill()?;
        stack.docker(&["exec", &redis, "touch", "/tmp/open"]).map(drop)
    })?;
    ensure!([1, 3].contains(&failed.code), "{failed}");
    failed.says("No space left on device").says("v1.0.0");
    disk.clear()?;
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(before.ids(), stack.snapshot()?.ids());

    // Full after that: what was there cannot be put back before there is room.
    let journals = stack.journals();
    let run = stack.start_xr(&UPDATE)?;
    wait_for("the new version", PATIENCE, || stack.version().is_ok_and(|v| v == "v1.1.0") || run.ended())?;
    ensure!(stack.journal_lines(&journals) > 1);
    disk.fill()?;
    run.signal(rustix::process::Signal::INT)?;
    wait_for("the undo", PATIENCE, || stack.version().is_ok_and(|v| v == "v1.0.0"))?;
    // The guard would go on trying.
    stack.wait_until_nobody_is_at_work()?;
    run.end()?.exits(4).says("docker/.env").says("No space left on device").says("xr recover");
    ensure!(!stack.newest_run_has_ended(), "the run is open");
    stack.xr(&["status"])?.exits(0);
    stack.xr(&UPDATE)?.exits(1).says("docker/.env").says("xr recover");
    assert_eq!(stack.version()?, "v1.0.0");

    disk.clear()?;
    stack.xr(&["recover"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(before.env, stack.env()?);
    stack.assert_compose_agrees()
}

#[test]
fn a_stack_folder_that_turns_read_only_goes_on_serving_and_is_whole_once_it_is_repaired() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    let disk = Disk::under(&stack.root, 192, &stack.scratch("disk")?)?;
    stack.xr(&["install", "--yes"])?.exits(0);
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;

    disk.fail()?;
    for argv in [&UPDATE[..], &["rollback", "--yes"], &["recover"], &["install", "--yes"]] {
        stack.xr(argv)?.exits(1).says("/.xr/lock").says("Read-only file system").says("hint: ").says("remount,rw");
    }
    looking_works(&stack)?;
    let doctor = stack.xr(&["doctor"])?.exits(6);
    ensure!(doctor.stdout.contains("read-only") || doctor.stdout.contains("Read-only"), "{doctor}");
    assert_eq!(before, stack.snapshot()?);

    for lines in sample(1, &[16, 3, 24]).iter().copied() {
        disk.repair()?;
        let failed = update_and(&stack, lines, || {
            disk.fail()?;
            // Nobody is left who could write once the disk is back.
            stack.wait_until_nobody_is_at_work()
        })?;
        let after = format!("read-only at line {lines}: {failed}");
        ensure!([1, 3, 4].contains(&failed.code), "{after}");
        ensure!(failed.stderr.contains("Read-only file system") && failed.stderr.contains("hint: "), "{after}");
        let version = stack.version()?;
        ensure!(version == "v1.0.0", "{version} serves, {after}");
        for container in before.ids() {
            ensure!(stack.snapshot()?.ids().contains(&container), "{container:?} is gone, {after}");
        }
        disk.repair()?;
        stack.xr(&["recover"])?.exits(0);
        stack.assert_all_of_it_is("v1.0.0")?;
        stack.assert_compose_agrees()?;
        assert_eq!((&before.env, &before.head), (&stack.env()?, &stack.git(&["rev-parse", "HEAD"])?));
    }
    stack.xr(&UPDATE)?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()
}

/// Leaves so much room where Docker keeps its images, as `truncate` spells it.
fn leave(room: &str) -> String {
    format!(
        "cd /var/lib/docker; rm -f spare filler; truncate -s 0 spare; [ {room} = 0 ] || fallocate -l {room} spare; : > filler
         for size in 256M 16M 1M 64K 4K; do
             while fallocate -o $(stat -c %s filler) -l $size filler 2>/dev/null; do :; done
         done; rm spare"
    )
}

#[test]
fn a_full_disk_under_docker_is_refused_before_a_run_and_taken_back_during_one() -> Result<()> {
    let machine = Machine::new(HostKind::Docker, "full", QUICK)?;
    machine.host.must(
        "service docker stop; mount -t tmpfs -o size=3g,mode=711 docker /var/lib/docker; service docker start >/dev/null",
    )?;
    machine.docker_answers()?;
    machine.xr("install --yes")?;
    machine.http("POST", "/api/visits")?;
    machine.remote.release("v1.1.0")?;
    machine.publish()?;
    let ids = || machine.host.must("docker ps -a --no-trunc --format '{{.ID}} {{.Names}}' | sort");
    let before = ids()?;
    let refused = |command: &str, code: i32, says: &[&str]| -> Result<()> {
        let (ended, said) = machine.try_xr(command)?;
        let told = says.iter().all(|part| said.contains(part)) && !said.contains("panicked");
        ensure!(ended == code && told, "{command}: {ended}: {said}");
        assert_eq!(before, ids()?);
        machine.assert_it_is("v1.0.0")
    };

    // Before a run.
    machine.host.must(&leave("200M"))?;
    refused(
        "update --yes",
        1,
        &["too little disk at /var/lib/docker", "1024 MiB needed", "hint: xr prune; docker image prune"],
    )?;

    // While images are pulled: this release says that it needs no room.
    std::fs::write(machine.remote.work().join("xr.toml"), format!("{QUICK}{GATE}\n[requirements]\ndisk_mib = 0\n"))?;
    machine.remote.release("v1.3.0")?;
    machine.publish()?;
    machine.host.must(&leave("0"))?;
    refused("update --yes", 1, &["no space left on device", "v1.0.0", "hint: "])?;

    // When the new containers are created.
    machine.host.must("rm -f /var/lib/docker/filler")?;
    let open = "docker exec $(docker ps -q --filter label=com.docker.compose.service=redis) touch /tmp/open";
    machine.interrupt("update --yes", "backup", &format!("({}); {open}", leave("0")))?;
    let code = machine.ended()?;
    let said = machine.host.must("cat /var/log/run.log")?;
    ensure!(code == "3" && said.contains("no space left on device") && said.contains("hint: "), "{code}: {said}");
    machine.assert_it_is("v1.0.0")?;
    assert_eq!(before, ids()?);

    machine.host.must("rm -f /var/lib/docker/filler")?;
    machine.xr("update --yes")?;
    machine.assert_it_is("v1.3.0")?;
    assert_eq!(machine.visits()?, 1);
    Ok(())
}
