//! What is shown, step by step.

use std::path::Path;

use anyhow::{Context, Result, bail};
use duct::cmd;
use xr_lab::Lab;

use crate::{attach, folder};

/// The port that the example publishes by default.
const PORT: u16 = 8083;

/// Shows the main job with this binary and leaves the stack running.
pub(crate) fn run(xr: &Path) -> Result<()> {
    let xr = xr.canonicalize().with_context(|| format!("no such file: {}", xr.display()))?;
    let lab = attach()?;
    let docker_host = lab.engine().docker_host();
    let dir = folder()?;
    clear(&lab, &dir)?;
    std::fs::create_dir_all(dir.join("bin"))?;
    std::os::unix::fs::symlink(&xr, dir.join("bin/xr"))?;
    let remote = lab.lasting_remote("demo", &["v1.0.0", "v1.1.0"])?;
    let stack = dir.join("orbit");
    remote.clone_to(&stack)?;
    cmd!("git", "checkout", "-q", "v1.0.0").dir(&stack).run()?;
    own_folders(&stack, &dir)?;

    let step = |title: &str, argv: &[&str], codes: &[i32]| -> Result<()> {
        println!("\n── {title}\n$ xr {}", argv.join(" "));
        let run = cmd(&xr, argv).dir(&stack).env("DOCKER_HOST", &docker_host).unchecked().run()?;
        let code = run.status.code().unwrap_or(-1);
        if !codes.contains(&code) {
            bail!("xr {}: exit code {code}", argv.join(" "));
        }
        Ok(())
    };
    step("a fresh clone becomes a running v1.0.0", &["install", "--yes"], &[0])?;
    show("GET /api/")?;
    step("is everything as it should be?", &["doctor"], &[0, 6])?;
    step("to the newest release; the old serves until the new is healthy", &["update", "--yes"], &[0])?;
    show("GET /api/")?;
    step("and back, without registry or git remote", &["rollback", "--yes"], &[0])?;
    show("GET /api/")?;
    step("what happened", &["history"], &[0])?;

    let (this, port) = (this_program(), lab.forward(PORT)?);
    println!("\n── yours to look at; it is still running");
    println!("  curl http://127.0.0.1:{port}/api/     (or a browser)");
    println!("  {this} shell      opens a shell in the lab, in the stack's folder; in it:");
    println!("    xr status     docker ps     ls .xr/generations");
    println!("when done: {this} down");
    Ok(())
}

/// What an earlier demo left.
fn clear(lab: &Lab, dir: &Path) -> Result<()> {
    for (list, remove) in [("ps -aq", "rm -fv"), ("volume ls -q", "volume rm")] {
        let argv: Vec<&str> =
            list.split(' ').chain(["--filter", "label=com.docker.compose.project=orbit-demo"]).collect();
        let found = lab.engine().docker(&argv)?;
        if !found.trim().is_empty() {
            let argv: Vec<&str> = remove.split(' ').chain(found.split_whitespace()).collect();
            lab.engine().docker(&argv)?;
        }
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot remove the last demo"),
        _ => Ok(()),
    }
}

/// The demo writes nothing outside of the lab's folder and has a project of its own.
fn own_folders(stack: &Path, dir: &Path) -> Result<()> {
    let template = std::fs::read_to_string(stack.join("docker/.env.example"))?;
    let data = format!("DATA_DIR={}", dir.join("data").display());
    let env = template.replace("DATA_DIR=/opt/orbit", &data);
    let own: String =
        env.lines().filter(|line| line.starts_with("DATA_DIR=")).map(|line| format!("{line}\n")).collect();
    std::fs::write(stack.join("docker/.env"), format!("COMPOSE_PROJECT_NAME=orbit-demo\n{own}"))?;
    Ok(())
}

/// How whoever reads this calls the program again: the shortest name from where they are.
fn this_program() -> String {
    let Ok(this) = std::env::current_exe() else { return "xr-demo".to_owned() };
    let near = std::env::current_dir().ok().and_then(|here| this.strip_prefix(here).ok().map(Path::to_owned));
    near.unwrap_or(this).display().to_string()
}

/// What the outside sees.
fn show(title: &str) -> Result<()> {
    let answer = cmd!("curl", "-sS", "--max-time", "10", format!("http://127.0.0.1:{PORT}/api/")).read()?;
    println!("{title}: {answer}");
    Ok(())
}
