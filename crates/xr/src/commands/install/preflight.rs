//! Before an install: is this machine fit, and is Docker there? What is missing is installed, after asking.

use std::path::Path;

use xr_journal::{Home, Ownership, RunLock, write_atomic};
use xr_model::{Fault, Level, Result};
use xr_preflight::{
    Grade,
    docker::{self, Init, InstallOptions, Lack},
    machine,
};
use xr_stack::{Site, Stack};

use crate::{commands::options::Install, context::Context, print::out, prompt};

/// Whether the install goes on. `--dry-run` on a machine without Docker ends here: what comes after is not known yet.
///
/// # Errors
/// A machine that does not do, or Docker missing and not wanted.
pub fn run(context: &Context, args: &Install, root: &Path, stack: &Stack) -> Result<bool> {
    examine(context, root, stack)?;
    if !provide_docker(context, args)? {
        return Ok(false);
    }
    if !args.registry_mirror.is_empty() && !args.run.dry_run {
        remember_mirrors(context, args, root)?;
    }
    Ok(true)
}

fn examine(context: &Context, root: &Path, stack: &Stack) -> Result<()> {
    let needs = &stack.manifest.requirements;
    let requirements =
        machine::Requirements { memory: needs.memory_mib << 20, disk: 64 << 20, ..machine::Requirements::default() };
    let mut problem = None;
    for check in machine::examine(&requirements, &[root]) {
        let text = format!("{}: {}", check.name, check.evidence);
        match (check.grade, check.hint) {
            (Grade::Good, _) => {}
            (Grade::Warning, hint) => {
                let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
                say(context, Level::Warning, format!("{text}{hint}"));
            }
            // Whether this user reaches Docker is asked of Docker itself.
            (Grade::Problem, _) if check.name == "docker socket" => {}
            (Grade::Problem, hint) => {
                problem.get_or_insert(Fault { hint, ..Fault::new(text) });
            }
        }
    }
    problem.map_or(Ok(()), Err)
}

fn provide_docker(context: &Context, args: &Install) -> Result<bool> {
    let ready = docker::examine();
    let elsewhere = std::env::var_os("DOCKER_HOST").is_some_and(|host| !host.is_empty());
    let problem = ready.problem.unwrap_or_else(|| Fault::new("Docker does not answer"));
    match ready.lack {
        None => Ok(true),
        Some(Lack::NotRunning) if !elsewhere && rustix::process::geteuid().is_root() => start(context, args, problem),
        Some(Lack::NotInstalled | Lack::ComposeMissing | Lack::ComposeTooOld) => install(context, args),
        Some(_) => Err(problem),
    }
}

fn start(context: &Context, args: &Install, problem: Fault) -> Result<bool> {
    let commands = Init::detect().start();
    if commands.is_empty() {
        return Err(problem);
    }
    if args.run.dry_run {
        out(&format!(
            "would start Docker: {}",
            commands.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        ));
        return Ok(false);
    }
    context.renderer.finish();
    if !prompt::confirm(&context.globals, "Docker is installed but does not run. Start it?")? {
        return Err(problem);
    }
    for command in commands {
        command.ok()?;
    }
    // Installing what is there is only waiting for the engine to answer.
    docker::install(&InstallOptions::default(), &|text| say(context, Level::Info, text.to_owned())).map(|()| true)
}

fn install(context: &Context, args: &Install) -> Result<bool> {
    let options = InstallOptions { mirror: args.mirror.clone(), registry_mirrors: args.registry_mirror.clone() };
    let plan = docker::plan_install(&options)?;
    context.renderer.finish();
    if args.run.dry_run || (context.renderer.is_interactive() && !context.globals.yes) {
        out("Docker and compose are installed from the distribution's packages:");
        for step in &plan.steps {
            out(&format!("  {step}"));
        }
    }
    if args.run.dry_run {
        out("what an install does after that is known once Docker is there");
        return Ok(false);
    }
    if !prompt::confirm(&context.globals, "Install Docker and compose?")? {
        return Err(Fault::new("Docker is not installed")
            .hint("xr install --yes, or install docker and the compose plugin yourself"));
    }
    docker::install(&options, &|text| context.renderer.emit(xr_model::Event::Phase { name: text.to_owned() }))
        .map(|()| true)
}

fn remember_mirrors(context: &Context, args: &Install, root: &Path) -> Result<()> {
    let home = Home::of(root);
    home.create()?;
    // Others write the file too, such as `xr worker add`.
    let _lock = RunLock::take(&home, "install", &xr_session::now())?;
    let mut site = Site::read(&home.site())?;
    for mirror in &args.registry_mirror {
        let host = mirror.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').to_owned();
        if !site.mirrors.contains(&host) {
            site.mirrors.push(host);
        }
    }
    write_atomic(&home.site(), site.to_toml()?.as_bytes(), 0o600, Ownership::Keep)?;
    if rustix::process::geteuid().is_root() && std::env::var_os("DOCKER_HOST").is_none() {
        docker::set_registry_mirrors(&args.registry_mirror, &|text| say(context, Level::Info, text.to_owned()))?;
    }
    Ok(())
}

fn say(context: &Context, level: Level, text: String) {
    context.renderer.emit(xr_model::Event::Message { level, text });
}
