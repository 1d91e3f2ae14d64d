//! Carrying an install plan out.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use xr_host::Cmd;
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result};

use super::{
    EngineReadiness, Init, InstallPlan, Lack, Step, apt, daemon_json, examine, find_program,
    plan::{self, Act, Facts, WORK},
    readiness::engine_answers,
};
use crate::machine::{self, Family};

const START: Duration = Duration::from_secs(60);
const ALREADY: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(300);

/// What an admin may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallOptions {
    /// A mirror of the distribution's packages to use instead of the machine's own sources (Debian and Ubuntu).
    pub mirror: Option<String>,
    /// Registry mirrors for the engine's settings.
    pub registry_mirrors: Vec<String>,
}

/// What [`install`] would do now; changes nothing. Where apt's lists are stale or were never fetched, the package that
/// brings compose is chosen after they are.
///
/// # Errors
/// When Docker cannot be installed here: the hint says what can be done instead.
pub fn plan_install(options: &InstallOptions) -> Result<InstallPlan> {
    let facts = observe(options, &examine())?;
    let mut steps = mirrors(options)?;
    steps.extend(plan::refresh(&facts, options.mirror.as_deref())?);
    steps.extend(plan::install(&facts, options.mirror.as_deref())?);
    Ok(InstallPlan { steps })
}

/// Installs what is missing of engine, client and compose plugin from the distribution's packages, starts the engine
/// and waits until it answers. Does nothing where nothing is missing. `tell` hears what is being done.
///
/// # Errors
/// When not root, when a step fails (the fault names its command), or when the engine does not answer within a minute.
pub fn install(options: &InstallOptions, tell: &dyn Fn(&str)) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Fault::new("only root can install Docker").hint("run xr with sudo"));
    }
    let found = examine();
    let mut facts = observe(options, &found)?;
    let mirror = options.mirror.as_deref();
    let _room = Room::clear();
    // Before the packages: their engine starts with the mirrors at once.
    carry_out(&mirrors(options)?, facts.init, tell)?;
    let refreshed = carry_out(&plan::refresh(&facts, mirror)?, facts.init, tell);
    facts.policies = policies(&facts, mirror)?;
    if let Err(fault) = refreshed {
        // One broken source among the admin's own need not be in the way.
        if facts.policies.iter().all(|policy| policy.candidate.is_none()) {
            return Err(fault);
        }
        tell(&format!("{}; going on with the lists that are there", fault.message));
    }
    carry_out(&plan::install(&facts, mirror)?, facts.init, tell)?;
    await_engine(facts.init)?;
    match examine().problem {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// The folder of temporary package lists: empty at the start, whatever a killed run left, and gone at the end.
struct Room;

impl Room {
    fn clear() -> Self {
        let _ = fs::remove_dir_all(WORK);
        Self
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(WORK);
    }
}

fn mirrors(options: &InstallOptions) -> Result<Vec<Step>> {
    let mirrors = &options.registry_mirrors;
    if mirrors.is_empty() || !daemon_json::pending(mirrors)? {
        return Ok(Vec::new());
    }
    Ok(vec![Step {
        title: "add registry mirrors to the engine's settings".to_owned(),
        act: Act::Mirrors(mirrors.clone()),
    }])
}

fn observe(options: &InstallOptions, found: &EngineReadiness) -> Result<Facts> {
    let os = machine::os_release().unwrap_or_default();
    if let (Some(Lack::PermissionDenied | Lack::Unreachable | Lack::EngineTooOld), Some(problem)) =
        (found.lack, &found.problem)
    {
        // Neither packages nor a start help against these.
        let fault = Fault::new(problem.chain());
        return Err(match &problem.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        });
    }
    let compose_missing = found.compose.as_ref().is_none_or(|version| *version < super::MINIMUM_COMPOSE);
    let mut facts = Facts {
        mirror_here: apt::mirror_of(&apt::source_texts(), &os.codename),
        os,
        init: Init::detect(),
        engine_missing: found.lack == Some(Lack::NotInstalled),
        engine_stopped: found.lack == Some(Lack::NotRunning),
        compose_missing,
        apparmor: fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
            && find_program("apparmor_parser").is_none(),
        policies: Vec::new(),
    };
    // The mirror's lists are not there before they are fetched.
    if options.mirror.is_none() {
        facts.policies = policies(&facts, None)?;
    }
    Ok(facts)
}

fn policies(facts: &Facts, mirror: Option<&str>) -> Result<Vec<apt::Policy>> {
    if facts.os.family() != Some(Family::Apt) {
        return Ok(Vec::new());
    }
    // Messages are translated, and keys with them.
    let cmd = Cmd::new("apt-cache").args(plan::apt_options(mirror)).arg("policy").args(apt::ASKED).env("LC_ALL", "C");
    Ok(apt::parse_policy(&cmd.ok()?.text()))
}

fn carry_out(steps: &[Step], init: Init, tell: &dyn Fn(&str)) -> Result<()> {
    for step in steps {
        tell(&step.title);
        match &step.act {
            Act::Write { path, content } => write_atomic(path, content.as_bytes(), 0o644, Ownership::Keep)?,
            Act::Run(cmd) => drop(cmd.clone().own_group().ok()?),
            Act::Refresh(cmd) => fetch_lists(cmd)?,
            Act::Start(cmd) => start(cmd, init)?,
            Act::Mirrors(mirrors) => drop(daemon_json::set_registry_mirrors(mirrors, tell)?),
        }
    }
    Ok(())
}

/// `apt-get update` fails at once while another apt holds the lists (a machine's first minutes: unattended-upgrades).
fn fetch_lists(cmd: &Cmd) -> Result<()> {
    let end = Instant::now() + LOCK;
    loop {
        let output = cmd.clone().env("LC_ALL", "C").own_group().run()?;
        let said = output.error_text();
        if output.code == 0 {
            return Ok(());
        }
        if !said.contains("Could not get lock") || Instant::now() > end {
            return Err(cmd
                .failed(&output)
                .hint("check the network and the sources in /etc/apt, or name a mirror that answers"));
        }
        thread::sleep(Duration::from_secs(2));
    }
}

/// A package may have started its engine already; a script that says so with an error is no failure.
fn start(cmd: &Cmd, init: Init) -> Result<()> {
    let output = cmd.run()?;
    if output.code == 0 || answers_within(ALREADY) { Ok(()) } else { Err(cmd.failed(&output).hint(init.log_hint())) }
}

fn await_engine(init: Init) -> Result<()> {
    if init == Init::None && !engine_answers() {
        return Err(
            Fault::new("Docker is installed, but this machine has no init system to start it").hint(init.start_hint())
        );
    }
    if answers_within(START) {
        return Ok(());
    }
    Err(Fault::new(format!("Docker was started, but its engine does not answer after {} s", START.as_secs()))
        .hint(init.log_hint()))
}

fn answers_within(limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        if engine_answers() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(250));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn planning_changes_nothing() {
        let _ = plan_install(&InstallOptions::default());
        assert!(!Path::new(WORK).exists());
    }
}
