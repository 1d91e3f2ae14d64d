//! Programs that must show signs of life.

use std::time::{Duration, Instant};

use xr_host::Cmd;

const PATIENCE: Duration = Duration::from_millis(700);

fn shell(script: &str) -> Cmd {
    Cmd::new("sh").args(["-c", script])
}

#[test]
fn a_program_that_says_nothing_is_ended_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let (cleared, pid) = (dir.path().join("cleared"), dir.path().join("pid"));
    let (cleared_up, told) = (cleared.display(), pid.display());
    // The outer one clears up when it is asked to end; the inner one does not listen.
    let script = format!(
        "trap 'touch {cleared_up}; exit 3' TERM; sh -c 'trap \"\" TERM; echo $$ > {told}; sleep 300 & sleep 301' & echo out; wait"
    );
    let begun = Instant::now();
    let output = shell(&script).patience(PATIENCE).run().unwrap();
    assert_eq!((output.silent_for, output.code, output.text().as_str()), (Some(PATIENCE), 3, "out"));
    assert!(begun.elapsed() >= PATIENCE && cleared.exists());
    let inner = std::fs::read_to_string(pid).unwrap();
    // A process that was killed needs a moment on a busy machine.
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", inner.trim())).unwrap_or_default();
    let gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
    while !gone(&stat()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", stat());
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_goes_on_saying_something_is_waited_for() {
    let script = "for n in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $n; echo $n >&2; done; exit 7";
    let output = shell(script).patience(PATIENCE).run().unwrap();
    assert_eq!((output.silent_for, output.code), (None, 7));
    assert_eq!(
        (output.text(), output.error_text()),
        ("1\n2\n3\n4\n5\n6\n7\n8".into(), "1\n2\n3\n4\n5\n6\n7\n8".into())
    );
}

#[test]
fn who_keeps_its_output_open_after_its_end_is_not_waited_for() {
    let begun = Instant::now();
    let output = shell("sleep 4 & echo done").patience(Duration::from_secs(60)).run().unwrap();
    assert_eq!((output.silent_for, output.code, output.text().as_str()), (None, 0, "done"));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn all_that_it_said_is_heard_however_busy_the_machine_is() {
    // They end about when it is looked whether they have ended.
    std::thread::scope(|scope| {
        for number in 0..200 {
            scope.spawn(move || {
                let script = format!("sleep 0.{}; head -c 20000 /dev/zero; echo said >&2", 180 + number / 10);
                let output = shell(&script).patience(PATIENCE * 40).run().unwrap();
                assert_eq!((output.stdout.len(), output.error_text().as_str()), (20000, "said"));
            });
        }
    });
}
