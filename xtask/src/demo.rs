//! `cargo xtask demo`: the main job on the example, on real containers, as an admin would do it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use duct::cmd;
use xr_lab::{Lab, Layout};

/// The port that the example publishes by default.
const PORT: u16 = 8083;

#[derive(Args)]
pub(crate) struct Demo {
    /// The binary to show; else one is built
    #[arg(long, value_name = "FILE")]
    xr: Option<PathBuf>,
}

pub(crate) fn run(options: &Demo) -> Result<()> {
    let xr = match &options.xr {
        Some(xr) => xr.canonicalize().with_context(|| format!("no such file: {}", xr.display()))?,
        None => crate::bench::release_binary()?,
    };
    let lab = Lab::attach_or_up()?;
    let docker_host = lab.engine().docker_host();
    let dir = Layout::from_env()?.root().join("demo");
    clear(&lab, &dir)?;
    std::fs::create_dir_all(&dir)?;
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

    println!("\n── yours to look at; it is still running");
    println!("  cd {}", stack.display());
    println!("  export DOCKER_HOST={docker_host}");
    println!("  curl http://127.0.0.1:{PORT}/api/     xr status     docker ps     ls .xr/generations");
    println!("when done: xr uninstall --volumes; then, in xr's own folder: cargo xtask lab down");
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

/// What the outside sees.
fn show(title: &str) -> Result<()> {
    let answer = cmd!("curl", "-sS", "--max-time", "10", format!("http://127.0.0.1:{PORT}/api/")).read()?;
    println!("{title}: {answer}");
    Ok(())
}
