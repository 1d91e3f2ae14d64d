//! What becomes of `.env` when a stack is taken over from scripts, and when the publisher keeps one in git.

use anyhow::{Result, ensure};

use crate::support::{Setup, Stack, with_key};

/// Releases a version whose tree has a `docker/.env` of its own: the template with these lines.
fn release_with_env(stack: &Stack, version: &str, own: &[(&str, &str)]) -> Result<()> {
    stack.remote.release(version)?;
    let folder = stack.remote.work().join("docker");
    let mut text = std::fs::read_to_string(folder.join(".env.example"))?;
    for (key, value) in own {
        text = with_key(&text, key, value);
    }
    std::fs::write(folder.join(".env"), text)?;
    stack.remote.in_work(&["add", "--force", "docker/.env"])?;
    stack.remote.commit("settings")?;
    stack.remote.in_work(&["tag", "--force", "-m", version, version])?;
    stack.remote.push()
}

fn without(stack: &Stack, key: &str) -> Result<()> {
    let begin = format!("{key}=");
    let kept: String = stack.env()?.lines().filter(|l| !l.starts_with(&begin)).map(|l| format!("{l}\n")).collect();
    stack.write_env(&kept)
}

#[test]
fn an_env_of_before_xr_and_one_that_releases_track_get_what_is_new_and_keep_what_is_the_admins() -> Result<()> {
    let stack = Stack::new(&Setup { env: &[("PORTAL_PASSWORD", "")], ..Setup::default() })?;
    without(&stack, "LOG_LEVEL")?;
    stack.xr(&["install", "--yes"])?.exits(0).says("warning: empty in docker/.env: PORTAL_PASSWORD").says("--stdin");
    assert_eq!(stack.setting("LOG_LEVEL")?, "INFO", "nobody took it out, so it came in");
    let history = stack.history()?.to_string();
    ensure!(history.contains(".env: new LOG_LEVEL"), "{history}");
    let doctor = stack.xr(&["doctor", "-v"])?.exits(0);
    ensure!(doctor.stdout.contains("PORTAL_PASSWORD is empty"), "{doctor}");
    doctor.never_says("left out here").never_says("secrets of its own");

    // The publisher begins to keep docker/.env in git. What is secret there is public.
    without(&stack, "LOG_LEVEL")?;
    release_with_env(&stack, "v1.1.0", &[("APP_IMAGE_TAG", "v1.1.0"), ("MAXMEM", "1"), ("KEEP", "1")])?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!((stack.setting("MAXMEM")?, stack.setting("KEEP")?), ("1".into(), "1".into()));
    ensure!(stack.setting("LOG_LEVEL").is_err(), "what the admin took out stays out");
    assert_eq!(stack.setting("SECRET_KEY")?, "feedfacefeedfacefeedfacefeedface");

    stack.xr(&["env", "set", "KEEP=7"])?.exits(0);
    let before = stack.env()?;
    release_with_env(&stack, "v1.3.0", &[("APP_IMAGE_TAG", "v1.3.0"), ("MAXMEM", "2"), ("KEEP", "1"), ("NEWK", "1")])?;
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.3.0")?;
    let now = ["APP_IMAGE_TAG", "MAXMEM", "KEEP", "NEWK"].map(|key| stack.setting(key).unwrap_or_default());
    assert_eq!(now, ["v1.3.0", "2", "7", "1"]);
    ensure!(stack.setting("LOG_LEVEL").is_err(), "and it still stays out");
    let history = stack.history()?.to_string();
    ensure!(history.contains("new default for") && history.contains("MAXMEM") && history.contains("NEWK"), "{history}");
    stack.xr(&["doctor"])?.exits(0);
    for line in stack.git(&["status", "--porcelain", "--untracked-files=no"])?.lines() {
        ensure!(line.ends_with(" VERSION") || line.ends_with(" docker/.env"), "{line}");
    }

    stack.xr(&["rollback", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    let back = stack.env()?;
    ensure!(!back.contains("NEWK") && back.contains("MAXMEM=1\n"), "{back}");
    assert_eq!(back, with_key(&before, "KEEP", "1"), "the file of that generation");
    stack.xr(&["update", "--yes", "--to", "v1.3.0"])?.exits(0);
    stack.assert_all_of_it_is("v1.3.0")
}

#[test]
fn an_env_of_before_xr_that_lacks_the_databases_password_gets_no_new_one_over_old_data() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    without(&stack, "DB_PASSWORD")?;
    let env = stack.env()?;
    let label = format!("com.docker.compose.project={}", stack.project);
    stack.docker(&["volume", "create", "--label", &label, &format!("{}_data", stack.project)])?;
    let refused = stack.xr(&["install", "--yes"])?.exits(1);
    refused.says("docker/.env lacks DB_PASSWORD").says("hint: set the one that the database was made with: xr env set");
    assert_eq!((stack.env()?, stack.containers()?.len()), (env, 0));
    Ok(())
}
