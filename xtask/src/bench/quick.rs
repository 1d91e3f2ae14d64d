//! Commands that must cost next to nothing, each in turn with what it cannot avoid.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use duct::{Expression, cmd};
use xr_lab::Lab;

use super::stack::Stack;

pub(super) fn run(lab: &Lab, xr: &Path, against: Option<&Path>, runs: usize) -> Result<()> {
    let stack = Stack::install(lab, xr, "quick", 18_210, &["v1.0.0"], &[])?;
    let mut pairs: Vec<(&str, Expression, &str, Expression)> = vec![
        ("xr --version", cmd!(xr, "--version"), "/bin/true", cmd!("/bin/true")),
        (
            "xr update, nothing to do",
            stack.xr(&["update"]),
            "git ls-remote",
            cmd!("git", "ls-remote", "origin").dir(stack.dir()),
        ),
        ("xr doctor", stack.xr(&["doctor"]), "docker compose ps", stack.compose(&["ps"])),
    ];
    // On a stack of its own making.
    let other = against.map(|other| Stack::install(lab, other, "other", 18_211, &["v1.0.0"], &[])).transpose()?;
    for (argv, other) in ["update", "doctor"].into_iter().zip(other.iter().cycle()) {
        pairs.push((argv, stack.xr(&[argv]), "the other xr", other.xr(&[argv])));
    }
    println!("\nmedian of {runs}, taken in turn");
    println!("{:<28} {:>9}   {:<20} {:>9} {:>8}", "", "", "beside", "", "ratio");
    for (title, ours, other_title, other) in pairs {
        let (ours, other) = in_turn(&ours, &other, runs)?;
        let ratio = ours.as_secs_f64() / other.as_secs_f64();
        println!("{title:<28} {:>6.1} ms   {other_title:<20} {:>6.1} ms {ratio:>7.2}×", ms(ours), ms(other));
    }
    println!("{:<28} {:>9}", "child processes of the update", children(&stack)?);
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn in_turn(ours: &Expression, other: &Expression, runs: usize) -> Result<(Duration, Duration)> {
    let time = |what: &Expression| -> Result<Duration> {
        let what = what.stdout_null().stderr_null().unchecked();
        let begun = Instant::now();
        what.run()?;
        Ok(begun.elapsed())
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    time(ours)?;
    time(other)?;
    for _ in 0..runs {
        a.push(time(ours)?);
        b.push(time(other)?);
    }
    a.sort();
    b.sort();
    Ok((a[runs / 2], b[runs / 2]))
}

/// Counts what an idle update starts, by programs on PATH that note their call first.
fn children(stack: &Stack<'_>) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log");
    let plugins = dir.path().join("cli-plugins");
    std::fs::create_dir(&plugins)?;
    for program in ["git", "docker", "ssh", "sh", "docker-compose"] {
        let real = if program == "docker-compose" { "docker" } else { program };
        let real = cmd!("which", real).read().with_context(|| format!("no {real}"))?;
        let path = if program == "docker-compose" { plugins.join(program) } else { dir.path().join(program) };
        std::fs::write(
            &path,
            format!(
                "#!/bin/bash\necho {program} \"$@\" >>{}\nunset DOCKER_CONFIG\nexec {real} \"$@\"\n",
                log.display()
            ),
        )?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    stack.xr(&["update"]).env("PATH", path).env("DOCKER_CONFIG", dir.path()).stdout_null().stderr_null().run()?;
    Ok(std::fs::read_to_string(&log).unwrap_or_default().lines().count())
}
