//! What installing Docker will do, as data: shown before, then run as it stands.

use std::{fmt, path::PathBuf};

use xr_host::Cmd;
use xr_model::{Fault, Result};

use super::{
    Init,
    apt::{self, Policy},
    families,
};
use crate::machine::{Family, OsRelease};

/// Where the temporary package lists live while Docker is being installed; only root can write there.
pub(super) const WORK: &str = "/var/cache/xr-install";
const DEBIAN: &str = "http://deb.debian.org/debian";
const PLUGIN: &str = "usr/libexec/docker/cli-plugins/docker-compose";
/// The Debian whose compose plugin also runs on the one before it: it needs only libc 2.34.
const DONOR: &str = "trixie";

/// One thing that will be done.
#[derive(Clone, Debug)]
pub struct Step {
    /// In words: `install docker.io, iptables`.
    pub title: String,
    pub(super) act: Act,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Run(Cmd),
    /// A run that must be repeated while another program holds apt's lists.
    Refresh(Cmd),
    /// A run that may fail because the package has started the engine already.
    Start(Cmd),
    Write {
        path: PathBuf,
        content: String,
    },
    /// Registry mirrors for the engine's settings.
    Mirrors(Vec<String>),
}

/// All that will be done, in order; empty when nothing is missing.
#[derive(Clone, Debug, Default)]
pub struct InstallPlan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl fmt::Display for Step {
    /// The command as an admin could type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Run(cmd) | Act::Refresh(cmd) | Act::Start(cmd) => cmd.fmt(f),
            Act::Write { path, content } => write!(f, "echo '{}' > {}", content.trim_end(), path.display()),
            Act::Mirrors(mirrors) => write!(f, "# registry-mirrors in /etc/docker/daemon.json: {}", mirrors.join(", ")),
        }
    }
}

/// Everything a plan depends on.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub os: OsRelease,
    pub init: Init,
    /// Its packages are to be installed.
    pub engine_missing: bool,
    /// It is installed and does not run.
    pub engine_stopped: bool,
    pub compose_missing: bool,
    /// The kernel enforces AppArmor, and the engine then needs its parser.
    pub apparmor: bool,
    pub policies: Vec<Policy>,
    /// The machine's own mirror of its Debian release.
    pub mirror_here: Option<String>,
}

/// apt's steps before the candidates are known: a mirror's source, and fresh lists.
pub(super) fn refresh(facts: &Facts, mirror: Option<&str>) -> Result<Vec<Step>> {
    let family = facts.os.family();
    if family != Some(Family::Apt) {
        return match mirror {
            Some(_) => Err(Fault::new(format!(
                "a package mirror can be given on Debian and Ubuntu only, this is {}",
                facts.os.title()
            ))
            .hint("set the mirror in the package manager's own settings and leave the option out")),
            None => Ok(Vec::new()),
        };
    }
    if !facts.engine_missing && !facts.compose_missing {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    if let Some(mirror) = mirror {
        steps.push(make_work("mirror"));
        steps.push(write("mirror.list", &mirror_list(&facts.os, mirror)?));
    }
    steps.push(Step {
        title: "fetch the package lists".to_owned(),
        act: Act::Refresh(apt_get(&apt_options(mirror)).arg("update")),
    });
    Ok(steps)
}

/// The steps that install what is missing and start the engine.
pub(super) fn install(facts: &Facts, mirror: Option<&str>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if facts.engine_missing || facts.compose_missing {
        match facts.os.family() {
            Some(Family::Apt) => steps.extend(apt_install(facts, mirror)?),
            Some(family) => {
                let cmd = families::install(&facts.os, family, facts.engine_missing, facts.compose_missing)?;
                steps.push(run("install Docker from the distribution's packages", cmd));
            }
            None => {
                return Err(Fault::new(format!("xr does not know how to install Docker on {}", facts.os.title()))
                    .hint("install Docker Engine 20.10 or newer and its compose plugin by hand"));
            }
        }
    }
    if facts.engine_missing || facts.engine_stopped {
        let start = |cmd| Step { title: "start Docker, now and at boot".to_owned(), act: Act::Start(cmd) };
        steps.extend(facts.init.start().into_iter().map(start));
    }
    Ok(steps)
}

fn apt_install(facts: &Facts, mirror: Option<&str>) -> Result<Vec<Step>> {
    let policies = &facts.policies;
    let mut packages: Vec<String> = Vec::new();
    let mut plugin = Vec::new();
    if facts.engine_missing {
        packages.extend(engine_packages(facts)?);
    }
    if facts.compose_missing {
        match apt::compose_package(policies) {
            Some(package) => packages.push(package),
            // Lists that were never fetched tell nothing yet.
            None if policies.is_empty() => {
                packages.push(format!("({}, the first of version 2)", apt::COMPOSE.join(" or ")))
            }
            None => {
                plugin = compose_from_donor(facts, mirror)?;
                packages.push("debian-archive-keyring".to_owned());
            }
        }
    }
    let title = format!("install {}", packages.join(", "));
    let cmd = apt_get(&apt_options(mirror))
        .args(["-o", "Dpkg::Options::=--force-confold", "install", "-y", "--no-install-recommends"])
        .args(packages);
    Ok(std::iter::once(run(&title, cmd)).chain(plugin).collect())
}

/// docker.io leaves out what it only recommends, but an engine without its client, or without AppArmor's parser on a
/// kernel that enforces AppArmor, starts no container.
fn engine_packages(facts: &Facts) -> Result<Vec<String>> {
    let policies = &facts.policies;
    let offered = |name: &str| apt::candidate(policies, name).is_some();
    let mut packages = if offered("docker-ce") {
        vec!["docker-ce", "docker-ce-cli", "containerd.io"]
    } else if offered("docker.io") || policies.is_empty() {
        vec!["docker.io"]
    } else {
        return Err(Fault::new(format!("{} offers no package docker.io", facts.os.title()))
            .hint("on Ubuntu: add-apt-repository universe; on Debian: component main in /etc/apt/sources.list"));
    };
    if packages[0] == "docker.io" {
        // From the same source as the engine, or the two do not go together (a backport beside a stable engine).
        if offered("docker-cli") && apt::candidate(policies, "docker-cli") == apt::candidate(policies, "docker.io") {
            packages.push("docker-cli");
        }
        packages.extend(offered("docker-buildx").then_some("docker-buildx"));
    } else {
        packages.extend(offered("docker-buildx-plugin").then_some("docker-buildx-plugin"));
    }
    packages.extend(["iptables", "ca-certificates"]);
    packages.extend((facts.apparmor && offered("apparmor")).then_some("apparmor"));
    Ok(packages.into_iter().map(str::to_owned).collect())
}

/// Debian 12 has compose 1 only: the plugin alone is taken out of the next Debian's package, signed by the same keys,
/// without letting apt see the next Debian as a source of anything else.
fn compose_from_donor(facts: &Facts, mirror: Option<&str>) -> Result<Vec<Step>> {
    if facts.os.id != "debian" || facts.os.major() != Some(12) {
        return Err(Fault::new(format!("{} has no package of docker compose 2", facts.os.title())).hint(
            "on Ubuntu: add-apt-repository universe; elsewhere put the plugin at /usr/local/lib/docker/cli-plugins/docker-compose",
        ));
    }
    let uri = mirror.or(facts.mirror_here.as_deref()).unwrap_or(DEBIAN);
    let list = format!("deb [signed-by={}] {uri} {DONOR} main\n", keyring("debian"));
    let options = own_lists(DONOR);
    let unpack = format!("dpkg-deb -x docker-compose_*.deb root && install -D -m 0755 root/{PLUGIN} /{PLUGIN}");
    Ok(vec![
        make_work(DONOR),
        write(&format!("{DONOR}.list"), &list),
        Step {
            title: format!("fetch the package lists of Debian {DONOR}"),
            act: Act::Refresh(apt_get(&options).arg("update")),
        },
        run(
            &format!("fetch docker-compose of Debian {DONOR}"),
            apt_get(&options).args(["download", "docker-compose"]).cwd(WORK),
        ),
        run("place the plugin docker compose", Cmd::new("sh").args(["-c", &unpack]).cwd(WORK)),
    ])
}

fn mirror_list(os: &OsRelease, mirror: &str) -> Result<String> {
    if os.codename.is_empty() || !matches!(os.id.as_str(), "debian" | "ubuntu") {
        return Err(Fault::new(format!("xr cannot tell which suite of the mirror {mirror} is for {}", os.title()))
            .hint("set the mirror in /etc/apt/sources.list and leave the option out"));
    }
    if mirror.contains(char::is_whitespace) || !mirror.contains("://") {
        return Err(Fault::new(format!("{mirror:?} is no URI of a package mirror"))
            .hint("for example https://mirrors.aliyun.com/debian"));
    }
    let components = if os.id == "ubuntu" { "main universe" } else { "main" };
    let line = |suite: &str| format!("deb [signed-by={}] {mirror} {suite} {components}\n", keyring(&os.id));
    Ok(line(&os.codename) + &line(&format!("{}-updates", os.codename)))
}

fn keyring(id: &str) -> String {
    format!("/usr/share/keyrings/{id}-archive-keyring.gpg")
}

/// The options that make apt use the mirror's lists, for every command that shall agree on them.
pub(super) fn apt_options(mirror: Option<&str>) -> Vec<String> {
    mirror.map(|_| own_lists("mirror")).unwrap_or_default()
}

/// A source with lists of its own: the machine's sources, lists and caches stay as they are.
fn own_lists(name: &str) -> Vec<String> {
    [
        format!("Dir::Etc::sourcelist={WORK}/{name}.list"),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={WORK}/{name}-lists"),
        "Dir::Cache::pkgcache=".to_owned(),
        "Dir::Cache::srcpkgcache=".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

fn apt_get(options: &[String]) -> Cmd {
    Cmd::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .args(options)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_MODE", "l")
}

fn make_work(name: &str) -> Step {
    run("make room for package lists", Cmd::new("mkdir").args(["-p", &format!("{WORK}/{name}-lists/partial")]))
}

fn write(name: &str, content: &str) -> Step {
    let path = PathBuf::from(WORK).join(name);
    Step {
        title: format!("name the package source in {}", path.display()),
        act: Act::Write { path, content: content.to_owned() },
    }
}

fn run(title: &str, cmd: Cmd) -> Step {
    Step { title: title.to_owned(), act: Act::Run(cmd) }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
