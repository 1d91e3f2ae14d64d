//! Many hosts: one sshd as it comes before a hundred, and all of twenty or none.

use anyhow::Result;

use crate::support::{Setup, Stack, farm::Farm};

#[test]
fn a_hundred_workers_behind_one_default_sshd_are_all_reached_and_none_is_refused() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let farm = Farm::behind_jump(&stack, 100)?;
    farm.list_all()?;
    let rows = farm.rows()?;
    let unreached: Vec<_> = rows.iter().filter(|row| row["reachable"] != true).collect();
    assert!(rows.len() == 100 && unreached.is_empty(), "{unreached:?}");
    assert_eq!(farm.refused(), 0);
    Ok(())
}

#[test]
fn of_twenty_workers_all_are_back_when_one_does_not_come_up() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let farm = Farm::direct(&stack, 20)?;
    farm.add_all()?;
    assert_eq!(farm.agents()?, vec!["v1.0.0"; 20]);

    // The new agent is well everywhere but on one host.
    stack.remote.release("v1.1.0")?;
    let compose = stack.remote.work().join("docker/docker-compose.yml");
    let text = std::fs::read_to_string(&compose)?;
    let volumes = "    volumes:\n      - /proc:/host/proc:ro\n";
    let check = "    healthcheck:\n      test: [\"CMD-SHELL\", \"test $$WORKER_ID != farm-13\"]\n      interval: 1s\n      timeout: 5s\n      retries: 2\n";
    let broken = text.replace(volumes, &format!("{check}{volumes}"));
    assert_ne!(broken, text);
    std::fs::write(&compose, broken)?;
    stack.remote.commit("feat: an agent that is not well everywhere")?;
    stack.remote.in_work(&["tag", "--force", "-m", "v1.1.0", "v1.1.0"])?;
    stack.remote.push()?;

    let done = farm.xr(&["update", "--yes"])?.exits(3);
    let cause = done.stderr.lines().find(|line| line.contains("cause: ")).unwrap_or_default();
    assert!(cause.contains("cause: worker farm-13: "), "{done}");
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(farm.agents()?, vec!["v1.0.0"; 20]);
    Ok(())
}
