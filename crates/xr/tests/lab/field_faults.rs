//! One test for each fault that the shell scripts have and xr must not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use duct::cmd;
use xr_lab::Image;

use crate::support::{Setup, Stack, mode, with_key};

/// The images of these versions under a prefix of the test's own, so that they can be broken.
fn with_own_images(prefix: &str, versions: &[&str]) -> Result<Stack> {
    let lab = xr_lab::Lab::attach_or_up()?;
    for version in versions {
        lab.publish_as(version, prefix)?;
    }
    Stack::installed(&Setup { env: &[("IMAGE_PREFIX", prefix)], ..Setup::default() })
}

#[test]
fn fault_1_a_broken_remote_is_a_failure_and_nothing_changes() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;
    let away = stack.remote.path().with_extension("away");
    std::fs::rename(stack.remote.path(), &away)?;
    let done = stack.xr(&["update", "--yes"])?;
    ensure!(done.code == 1 || done.code == 75, "{done}");
    let done = done.says("hint: ").never_says("healthy");
    ensure!(done.stdout.is_empty(), "{done}");
    assert_eq!(before, stack.snapshot()?);

    std::fs::rename(&away, stack.remote.path())?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn fault_2_the_old_version_serves_until_the_new_one_does() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    let run = stack.start_xr(&["update", "--yes"])?;
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let mut seen = Vec::new();
    while !run.ended() {
        if let Ok(version) = stack.version() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            if seen.last() != Some(&version) {
                seen.push(version);
            }
        }
    }
    run.end()?.exits(0);
    longest = longest.max(last.elapsed());
    assert_eq!(seen, ["v1.0.0", "v1.1.0"], "each answers, and no other");
    // A second when nothing else runs; tests run beside each other.
    ensure!(longest < Duration::from_secs(3), "silent for {longest:?}");
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn fault_2_nothing_stops_before_every_image_is_known_to_exist() -> Result<()> {
    let stack = with_own_images("fault-two", &["v1.0.0", "v1.1.0"])?;
    let worker = Image::Worker.name("fault-two", "v1.1.0");
    stack.lab.registry().delete(&worker)?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;
    stack.xr(&["update", "--yes"])?.exits(1).says("v1.1.0 cannot be had").says("orbit-worker:v1.1.0");
    assert_eq!(before, stack.snapshot()?);
    Ok(())
}

#[test]
fn fault_3_the_tag_counts_whatever_version_its_tree_or_the_branch_says() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    // The tag is there; the bot that moves VERSION on main has not come yet.
    stack.remote.tag("v1.1.0")?;
    assert_eq!(stack.remote.in_work(&["show", "v1.1.0:VERSION"])?, "v1.0.0");
    assert_eq!(stack.remote.in_work(&["show", "main:VERSION"])?, "v1.0.0");
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    let before = stack.snapshot()?;
    assert_eq!(before.head, stack.remote.in_work(&["rev-parse", "v1.1.0^{commit}"])?);

    // Two CI runs race, and VERSION on main goes backwards.
    stack.remote.bump("v1.1.0")?;
    stack.remote.bump("v1.0.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_eq!(before, stack.snapshot()?, "nothing is downgraded silently");
    stack.xr(&["update", "--yes", "--to", "v1.0.0"])?.exits(1).says("xr rollback --to v1.0.0");
    assert_eq!(before, stack.snapshot()?);
    Ok(())
}

#[test]
fn fault_4_a_tag_without_images_is_refused() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.4.0")?;
    let before = stack.snapshot()?;
    stack.xr(&["update", "--yes"])?.exits(1).says("v1.4.0 cannot be had").says("orbit-worker:v1.4.0").says("hint: ");
    assert_eq!(before, stack.snapshot()?);
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes", "--to", "v1.1.0"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn fault_4_an_image_that_was_pushed_again_is_noticed_and_refused() -> Result<()> {
    let stack = with_own_images("fault-four", &["v1.0.0", "v1.1.0"])?;
    let server = Image::Server.name("fault-four", "v1.0.0");
    let digest = stack.lab.registry().repush(stack.lab.engine(), &server, "fault four")?;
    let before = stack.snapshot()?;
    // Whoever only updates is not concerned: what was pinned stays what it is. Whoever asks is told.
    stack.xr(&["update", "--yes"])?.exits(0).says_nothing();
    let doctor = stack.xr(&["doctor", "--online"])?;
    ensure!(doctor.stdout.contains("orbit-server:v1.0.0") && doctor.stdout.contains("was re-pushed"), "{doctor}");
    let refused = stack.xr(&["update", "--yes", "--refresh"])?.exits(1);
    refused.says("orbit-server:v1.0.0 was re-pushed").says("--accept-repushed");
    assert_eq!(before, stack.snapshot()?);

    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    let present = stack.snapshot()?;
    let back = ["update", "--yes", "--to", "v1.0.0", "--allow-downgrade"];
    stack.xr(&back)?.exits(1).says("was re-pushed");
    assert_eq!(present, stack.snapshot()?);
    // What ran is still on the disk under its digest, and that is what a rollback runs.
    stack.xr(&["rollback", "--yes"])?.exits(0);
    let ran = stack.digests(&stack.container("server")?)?;
    ensure!(!ran.contains(&digest), "{ran}");

    stack.xr(&["update", "--yes", "--to", "v1.0.0", "--refresh", "--accept-repushed"])?.exits(0);
    let ran = stack.digests(&stack.container("server")?)?;
    ensure!(ran.contains(&digest), "{ran} lacks {digest}");
    Ok(())
}

#[test]
fn fault_4_a_git_tag_that_moved_is_noticed() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let before = stack.snapshot()?;
    stack.remote.commit("a late correction")?;
    stack.remote.in_work(&["tag", "--force", "-m", "again", "v1.0.0"])?;
    stack.remote.push()?;
    stack.xr(&["update", "--yes", "-v"])?.exits(0).says("tag v1.0.0 was re-pushed");
    assert_eq!(before, stack.snapshot()?);
    Ok(())
}

#[test]
fn fault_5_settings_survive_every_edit_and_secrets_stay_secret() -> Result<()> {
    let password = r#"p/a&s$5 #"x\y"#;
    let spelled = format!("'{password}'");
    let stack =
        Stack::new(&Setup { env: &[("DB_PASSWORD", &spelled), ("MINE", "kept # as it is")], ..Setup::default() })?;
    let without_newline = stack.env()?.trim_end().to_owned();
    stack.write_env(&without_newline)?;
    stack.xr(&["install", "--yes", "-vv"])?.exits(0).never_says(password).never_says("feedface").never_says("cafecafe");
    let wanted = with_key(&without_newline, "IMAGE_TAG", "v1.0.0");
    assert_eq!(stack.env()?.trim_end(), wanted.trim_end(), "one line changed, and no other byte");
    assert_eq!(mode(&stack.env_path())?, 0o600);
    stack.visit()?;

    stack.remote.release("v1.1.0")?;
    let secrets = ["DB_PASSWORD", "SECRET_KEY", "WORKER_API_KEY", "MINE"];
    let before: Vec<String> = secrets.iter().map(|key| stack.setting(key)).collect::<Result<_>>()?;
    std::fs::set_permissions(stack.env_path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let done = stack.xr(&["update", "--yes", "-vv"])?.exits(0).never_says(password).never_says("feedface");
    let session = stack.setting("SESSION_KEY")?;
    ensure!(
        session.len() >= 32 && session.chars().all(|c| c.is_ascii_hexdigit()),
        "a placeholder is no secret: {session}"
    );
    done.never_says(&session);
    assert_eq!(before, secrets.iter().map(|key| stack.setting(key)).collect::<Result<Vec<_>>>()?);
    assert_eq!(mode(&stack.env_path())?, 0o600);
    assert_eq!(stack.setting("SCAN_CONCURRENCY")?, "4", "the new key has a line of its own");
    assert_eq!(stack.visits()?, 1, "the database still takes the password");

    let server = stack.container("server")?.id;
    let env = stack.docker(&["exec", &server, "printenv", "DB_PASSWORD"])?;
    assert_eq!(env, password, "and the container reads it as it was meant");
    secret_nowhere(&stack, &["feedface", &session])
}

/// Journals, logs and records hold no secret; generations and runs hold whole `.env` files, readable by their owner only.
fn secret_nowhere(stack: &Stack, secrets: &[&str]) -> Result<()> {
    for folder in ["journal", "log"] {
        for secret in secrets {
            let found =
                stack.with_environment(cmd!("grep", "-rl", secret, format!(".xr/{folder}"))).stdout_capture().run()?;
            ensure!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
        }
    }
    let open = stack.with_environment(cmd!("find", ".xr", "-name", ".env", "-perm", "/077")).stdout_capture().run()?;
    ensure!(open.stdout.is_empty(), "others can read {}", String::from_utf8_lossy(&open.stdout));
    assert_eq!(mode(&stack.root.join(".xr"))?, 0o700);
    Ok(())
}

#[test]
fn fault_5_a_missing_env_is_never_made_up_over_existing_data() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    let env = stack.env()?;
    let containers = stack.containers()?;
    std::fs::remove_file(stack.env_path())?;
    stack.xr(&["update", "--yes"])?.exits(1).says(".env is missing").says("hint: restore it: cp ");
    let refused = stack.xr(&["install", "--yes"])?;
    ensure!(refused.code == 1, "{refused}");
    ensure!(!stack.env_path().exists(), "no .env is made up");
    assert_eq!(containers, stack.containers()?);

    stack.write_env(&env)?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_eq!(stack.visits()?, 1);
    Ok(())
}

#[test]
fn fault_6_a_comment_that_compose_takes_for_a_value_is_told_and_left_alone() -> Result<()> {
    let stack = Stack::new(&Setup { env: &[("ALLOWED_HOSTS", "  # every host")], ..Setup::default() })?;
    let line = 1 + stack.env()?.lines().position(|line| line.starts_with("ALLOWED_HOSTS=")).context("no such line")?;
    let place = format!(".env:{line}");
    let check = stack.xr(&["env", "check"])?.exits(6);
    ensure!(check.to_string().contains(&place) && check.to_string().contains("ALLOWED_HOSTS"), "{check}");
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_eq!(stack.setting("ALLOWED_HOSTS")?, "  # every host", "the admin's bytes are the admin's");
    let doctor = stack.xr(&["doctor"])?;
    ensure!(doctor.to_string().contains(&place), "{doctor}");

    let server = stack.container("server")?.id;
    let (compose, xr) = (
        stack.docker(&["exec", &server, "printenv", "ALLOWED_HOSTS"])?,
        stack.xr(&["env", "get", "ALLOWED_HOSTS"])?.exits(0),
    );
    assert_eq!(xr.stdout.trim_end_matches('\n'), compose.trim_end_matches('\n'), "xr reads what compose reads");
    Ok(())
}

#[test]
fn fault_7_the_worker_image_is_there_before_the_first_task() -> Result<()> {
    let stack = with_own_images("fault-seven", &["v1.0.0", "v1.1.0"])?;
    let worker = |version: &str| Image::Worker.name("fault-seven", version);
    ensure!(stack.has_image(&worker("v1.0.0")));
    // A lab that lasts may have it from an earlier time.
    let _ = stack.docker(&["image", "rm", "--force", &worker("v1.1.0")]);
    ensure!(!stack.has_image(&worker("v1.1.0")));
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    let digest = stack.lab.registry().digest(&worker("v1.1.0"))?.context("not published")?;
    let digests = stack.docker(&["image", "inspect", "--format={{json .RepoDigests}}", &worker("v1.1.0")])?;
    ensure!(digests.contains(&digest), "{digests} lacks {digest}");
    let task = stack.docker(&["run", "--rm", "--pull=never", &worker("v1.1.0"), "scan"])?;
    ensure!(task.contains("v1.1.0"), "{task}");
    Ok(())
}

#[test]
fn fault_7_production_over_dev_drops_the_override_of_the_worker() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    stack.xr(&["install", "--dev", "--yes"])?.exits(0);
    assert_eq!(stack.setting("TASK_EXECUTOR_IMAGE")?, "docker-worker:v1.0.0-dev");
    assert_eq!(stack.setting("DEBUG")?, "True");
    ensure!(stack.has_image("docker-worker:v1.0.0-dev"));
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_eq!(stack.setting("TASK_EXECUTOR_IMAGE")?, "");
    assert_eq!(stack.setting("DEBUG")?, "False");
    stack.assert_all_of_it_is("v1.0.0")?;
    let executor =
        stack.docker(&["exec", &stack.container("server")?.id, "sh", "-c", "echo \"[$TASK_EXECUTOR_IMAGE]\""])?;
    assert_eq!(executor, "[]");
    Ok(())
}

#[test]
fn fault_8_a_users_clone_stays_the_users_when_root_updates_it() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    ensure!(rustix::process::geteuid().is_root(), "the lab runs as root");
    let owner = |path: &std::path::Path| -> Result<()> {
        stack.with_environment(cmd!("chown", "-R", "4242:4242", path)).run().map(drop).context("chown")
    };
    stack.remote.release("v1.1.0")?;
    owner(&stack.root)?;
    owner(stack.remote.path())?;
    // The user has to get to both.
    for path in [&stack.root, stack.remote.path()] {
        let above = path.parent().context("no folder")?;
        std::fs::set_permissions(above, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_eq!(stack.version()?, "v1.1.0");
    let foreign = stack.with_environment(cmd!("find", ".", "!", "-user", "4242")).stdout_capture().run()?;
    ensure!(foreign.stdout.is_empty(), "no longer the user's: {}", String::from_utf8_lossy(&foreign.stdout));
    Ok(())
}

#[test]
fn fault_8_the_tree_is_switched_whole_while_xr_runs() -> Result<()> {
    // A script that is rewritten while it runs goes on with bytes of another version; xr is one file outside of the tree.
    let stack = Stack::installed(&Setup::default())?;
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_eq!(
        stack.git(&["status", "--porcelain"])?,
        " M VERSION",
        "only VERSION, which the tag's own tree has wrong"
    );
    assert_eq!(stack.git(&["rev-parse", "HEAD"])?, stack.remote.in_work(&["rev-parse", "v1.1.0^{commit}"])?);
    Ok(())
}

#[test]
fn fault_9_stop_and_restart_know_the_database_and_uninstall_knows_no_strangers() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    let stranger = format!("{}-agent-of-somebody-else", stack.project);
    stack.docker(&["run", "-d", "--name", &stranger, "busybox:latest", "sleep", "600"])?;
    let outcome = stops_and_goes(&stack);
    let running = stack.docker(&["inspect", "--format={{.State.Running}}", &stranger])?;
    stack.docker(&["rm", "-fv", &stranger])?;
    outcome?;
    assert_eq!(running, "true", "the stranger's container");
    Ok(())
}

fn stops_and_goes(stack: &Stack) -> Result<()> {
    let postgres = stack.container("postgres")?;
    stack.xr(&["restart", "--yes"])?.exits(0);
    assert_ne!(postgres.started_at, stack.container("postgres")?.started_at, "the database is restarted too");
    stack.assert_all_of_it_is("v1.0.0")?;
    stack.xr(&["stop", "--yes"])?.exits(0);
    let left: Vec<_> = stack.containers()?.into_iter().filter(|container| container.state == "running").collect();
    assert!(left.is_empty(), "{left:#?}");
    stack.xr(&["start", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(stack.visits()?, 1);

    stack.xr(&["uninstall", "--yes"])?.exits(0);
    assert!(stack.containers()?.is_empty());
    let volumes = ["volume", "ls", "-q", "--filter", &format!("label=com.docker.compose.project={}", stack.project)];
    assert_eq!(stack.docker(&volumes)?.lines().count(), 2, "data stays");
    stack.xr(&["uninstall", "--yes", "--volumes"])?.exits(2);
    assert_eq!(stack.docker(&volumes)?.lines().count(), 2, "--yes deletes no data");
    stack.xr(&["uninstall", "--yes", "--all", "--confirm", &stack.project])?.exits(0);
    assert_eq!(stack.docker(&volumes)?, "");
    Ok(())
}
