//! Releases that are well at first and fail afterwards: the run watches long enough to take them back.

use anyhow::{Result, ensure};

use crate::support::{QUICK, Setup, Stack};

/// The server is given little time, and is watched for longer than it pretends.
const WATCHED: &str = "[services.server]\npatience = \"60s\"\n\n[health]\nsettle = \"9s\"\n";

/// Publishes v1.1.0 with lines of the server's definition changed; again, when it is there already.
fn publish(stack: &Stack, replaced: &[(&str, &str)]) -> Result<()> {
    let original = std::fs::read_to_string(stack.root.join("docker/docker-compose.yml"))?;
    let text = replaced.iter().fold(original.clone(), |text, (from, to)| text.replace(from, to));
    ensure!(replaced.is_empty() || text != original, "nothing was replaced");
    std::fs::write(stack.remote.work().join("docker/docker-compose.yml"), text)?;
    stack.remote.commit("feat: another server")?;
    stack.remote.in_work(&["tag", "--force", "-m", "v1.1.0", "v1.1.0"])?;
    stack.remote.push()
}

/// An update that has to be taken back for this cause, with nothing but its entry in the history left of it.
fn taken_back(stack: &Stack, cause: &str) -> Result<()> {
    let before = stack.snapshot()?;
    let done = stack.xr(&["update", "--yes"])?.exits(3).says("was rolled back: v1.0.0 is healthy");
    done.says("cause: server").says(cause).says("hint: ");
    stack.assert_all_of_it_is("v1.0.0")?;
    let after = stack.snapshot()?;
    assert_eq!(before.ids(), after.ids(), "the old containers, and no other");
    assert_eq!((before.env, before.head, before.status), (after.env, after.head, after.status));
    assert_eq!((before.generation, before.generations), (after.generation, after.generations));
    assert_eq!(stack.visits()?, 1);
    stack.assert_compose_agrees()
}

/// The last line of the server's definition but its check's: the check's answer changes every four seconds.
const CHECK: &str =
    "test: [\"CMD-SHELL\", \"python3 manage.py ping\"]\n      interval: 30s\n      timeout: 10s\n      retries: 3";
const FLAPS: &str = "[ $$(( ($$(date +%s) - $$(stat -c %Y /proc/1)) / 4 % 2 )) = 0 ]";

#[test]
fn a_release_that_is_healthy_and_crashes_or_falls_ill_soon_after_is_taken_back() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    std::fs::write(stack.remote.work().join("xr.toml"), WATCHED)?;
    stack.remote.release("v1.1.0")?;

    // Up, healthy, and dead five seconds later, again and again.
    let dies = "    command: [\"sh\", \"-c\", \"python3 app.py & until python3 manage.py ping; do sleep 0.2; done; sleep 5; exit 3\"]\n";
    publish(&stack, &[("    env_file:\n", &format!("{dies}    env_file:\n"))])?;
    taken_back(&stack, "became healthy, then")?;

    // Healthy, ill, healthy, as the engine sees it.
    let often = format!("test: [\"CMD-SHELL\", \"{FLAPS}\"]\n      interval: 1s\n      timeout: 10s\n      retries: 2");
    publish(&stack, &[(CHECK, &often)])?;
    taken_back(&stack, "became healthy, then unhealthy")?;

    // The same with an engine that asks too seldom to see it in time.
    let seldom = often.replace("interval: 1s", "interval: 30s");
    publish(&stack, &[(CHECK, &seldom)])?;
    taken_back(&stack, "became healthy, then unhealthy")?;

    // Mended, it is taken.
    std::fs::write(stack.remote.work().join("xr.toml"), QUICK)?;
    publish(&stack, &[])?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(stack.visits()?, 1);
    Ok(())
}
