//! Ending every program that runs. In a process of its own: it would end other tests' programs.

use std::time::{Duration, Instant};

use xr_host::{Cmd, kill_children};

#[test]
fn a_program_that_runs_is_ended_with_its_own_children() {
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let script = format!("sleep 60 & touch {}; wait", begun.display());
    let program = std::thread::spawn(move || Cmd::new("sh").args(["-c", &script]).own_group().run());
    let start = Instant::now();
    while !begun.exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    // The output's pipe is the grandchild's too: that this returns shows that both have ended.
    kill_children();
    assert_eq!(program.join().unwrap().unwrap().code, 128 + 9);
}
