//! What uninstalling removes is this stack's for sure, and nothing of it is left.

use anyhow::{Result, ensure};

use crate::support::Stack;

/// A publisher who keeps no VERSION, and an image that is built here under a name that stays the same.
fn release(stack: &Stack, version: &str) -> Result<()> {
    let image = format!("{}/{}/app:latest", stack.lab.registry().address(), stack.project);
    stack.unpack(&[
        (
            "compose.yaml",
            &format!(
                "services:\n  app:\n    build: app\n    image: {image}\n    command: sleep 1000000\n    stop_signal: SIGKILL\n    restart: always\n    volumes: [\"data:/data\"]\nvolumes: {{data: {{}}}}\n"
            ),
        ),
        ("app/Dockerfile", &format!("FROM busybox\nLABEL release={version}\n")),
        (".gitignore", ".env\n"),
    ])?;
    let me = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    stack.git(&["add", "compose.yaml", "app", ".gitignore", "xr.toml"])?;
    stack.git(&[&me[..], &["commit", "-qm", version]].concat())?;
    stack.git(&[&me[..], &["tag", "-m", version, version]].concat())?;
    Ok(())
}

#[test]
fn uninstalling_removes_what_is_this_stacks_and_keeps_a_neighbours_volume() -> Result<()> {
    let stack = Stack::unpacked()?;
    stack.git(&["init", "-q", "-b", "main"])?;
    release(&stack, "v1.0.0")?;
    let theirs = format!("{}_theirs", stack.project);
    let label = format!("com.docker.compose.project={}", stack.project);
    stack.docker(&["volume", "create", "--label", &label, &theirs])?;
    stack.xr(&["install", "--yes"])?.exits(0).says("nothing was ever installed from here").says(&theirs);
    let built = stack.container("app")?.image_id;
    release(&stack, "v1.1.0")?;
    stack.xr(&["install", "--yes"])?.exits(0).never_says("nothing was ever installed from here");
    ensure!(stack.container("app")?.image_id != built, "the image was built anew");
    stack.xr(&["status"])?.exits(0);

    let done = stack.xr(&["uninstall", "--yes"])?.exits(0);
    ensure!(done.stdout.contains("kept volumes"), "{done}");
    stack.xr(&["status"])?.exits(1).says("nothing runs: uninstalled").says("hint: xr start");

    let done = stack.xr(&["uninstall", "--yes", "--all", "--confirm", &stack.project])?.exits(0);
    ensure!(done.stdout.contains(&format!("not this stack's, kept: {theirs}")), "{done}");
    let left = stack.docker(&["volume", "ls", "-q", "--filter", &format!("label={label}")])?;
    assert_eq!(left.trim(), theirs, "{done}");
    for gone in [".xr", ".env", "VERSION"] {
        ensure!(!stack.root.join(gone).exists(), "{gone} is left: {done}");
    }
    ensure!(!stack.has_image(&built), "the first build is left: {done}");
    Ok(())
}
