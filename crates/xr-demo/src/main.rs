//! The demo: the main job on the example, on real containers, as an admin would do it.
//!
//!     xr-demo prepare           bring up the lab and build the images that the demo needs
//!     xr-demo show XR           install → doctor → update → rollback with this binary
//!     xr-demo shell [COMMAND]   look at what it left: a shell, or one command, in the lab, in the stack's folder
//!     xr-demo down              take the lab down again
//!
//! `install.sh --demo` builds it first: it prepares while xr itself is still being compiled. `cargo xtask demo` calls it too.
//! [`Lab::attach_or_up`] may start this program anew within the lab, so nothing that must happen once stands before it.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: it starts programs and talks to a terminal"
)]

mod show;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use xr_lab::{Lab, Layout};

const USAGE: &str = "usage: xr-demo prepare | show XR | shell [COMMAND [ARG…]] | down";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(argv: Vec<OsString>) -> Result<ExitCode> {
    let mut words = argv.into_iter();
    let verb = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    match (verb.to_str(), rest.as_slice()) {
        (Some("prepare"), []) => attach().map(drop)?,
        (Some("show"), [xr]) => show::run(&PathBuf::from(xr))?,
        (Some("shell"), command) => return shell(command),
        (Some("down"), []) => Lab::down(&Layout::from_env()?)?,
        _ => bail!(USAGE),
    }
    Ok(ExitCode::SUCCESS)
}

/// The lab with what the demo needs of it.
pub(crate) fn attach() -> Result<Lab> {
    Lab::attach_or_up()
}

/// Where the demo has its stack, its data and a link to the xr that was shown.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(Layout::from_env()?.root().join("demo"))
}

/// Goes where the demo's stack is to be seen; the answer is the exit code of what ran there.
fn shell(command: &[OsString]) -> Result<ExitCode> {
    let (stack, bin) = (folder()?.join("orbit"), folder()?.join("bin"));
    if !stack.is_dir() {
        bail!("nothing has been shown yet: ./install.sh --demo");
    }
    let lab = attach()?;
    let usual = [std::env::var_os("SHELL").unwrap_or_else(|| "sh".into())];
    let argv = if command.is_empty() { usual.as_slice() } else { command };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    let status = Command::new(&argv[0])
        .args(&argv[1..])
        .current_dir(stack)
        .env("PATH", path)
        .env("DOCKER_HOST", lab.engine().docker_host())
        .status()
        .with_context(|| format!("cannot start {}", argv[0].display()))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
