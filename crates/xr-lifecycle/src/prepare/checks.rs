//! What must be so before anything moves; each refusal leaves everything as it was.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use xr_model::{Fault, Generation, Level, Mode, Port, Result, RunKind};
use xr_preflight::postgres::{self, Password, PostgresTarget};
use xr_release::{
    earlier::{self, Earlier},
    staging::Staged,
};
use xr_session::Session;

use super::Prepared;

/// `.env` and VERSION, before anything else is looked at.
pub(crate) fn settings(session: &Session<'_>, kind: RunKind) -> Result<()> {
    let layout = &session.stack.layout;
    let env = xr_session::read_env(&layout.env_path())?;
    let current = session.generations.current()?;
    if kind == RunKind::Update && current.is_none() {
        return Err(Fault::new(format!("nothing is installed in {}", session.root.display())).hint("xr install"));
    }
    if let (RunKind::Update, None, Some(clone)) = (kind, &session.checkout, clone_around(&session.root)) {
        let (root, within) = (session.root.display(), session.root.strip_prefix(&clone).unwrap_or(&session.root));
        return Err(Fault::new(format!(
            "{root} is a folder of the git clone {}: xr follows the releases of a whole clone",
            clone.display()
        ))
        .hint(format!(
            "write {}/xr.toml with [compose] files = [\"{}\"], then xr --stack {} install; or git pull, then xr install here",
            clone.display(),
            within.join(session.stack.layout.files.first().map_or("compose.yaml", String::as_str)).display(),
            xr_model::shell(&clone)
        )));
    }
    if let (None, Some(current)) = (&env, &current) {
        let kept = layout.env_in(&xr_session::root_of(session, current.number));
        return Err(Fault::new(format!(
            "{} is missing; it holds this installation's settings and secrets",
            layout.env_path().display()
        ))
        .hint(format!("restore it: cp -p {} {}", xr_model::shell(&kept), xr_model::shell(&layout.env_path()))));
    }
    version(session, current.as_ref())?;
    if let Ok(meta) = fs::metadata(layout.env_path())
        && !rustix::process::geteuid().is_root()
        && meta.uid() != rustix::process::geteuid().as_raw()
    {
        return Err(Fault::new(format!("{} belongs to another user", layout.env_path().display()))
            .hint("run xr as its owner, or with sudo"));
    }
    Ok(())
}

/// The git clone that a folder without one of its own is part of, when git tracks its compose files there.
fn clone_around(root: &Path) -> Option<PathBuf> {
    let above = root.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    let tracked = xr_host::Cmd::new("git").arg("-C").arg(root).args(["ls-files", "--error-unmatch", "."]).run();
    tracked.is_ok_and(|output| output.code == 0).then(|| above.to_owned())
}

/// What VERSION says is repaired by a run; what it cannot say is a sign of somebody's hand.
fn version(session: &Session<'_>, current: Option<&Generation>) -> Result<()> {
    let path = session.stack.layout.version_path();
    let name = &session.stack.layout.version;
    if !path.exists() && current.is_none() {
        // A clone whose publisher keeps no VERSION lives by its tags.
        let Some(checkout) = &session.checkout else { return xr_version_resolver::version_file::read(&path).map(drop) };
        if checkout.read(&checkout.head()?.commit, name)?.is_none() {
            return Ok(());
        }
    }
    xr_version_resolver::version_file::read(&path).map(drop).map_err(|fault| match (current, &session.checkout) {
        (Some(current), _) => {
            fault.hint(format!("echo {} > {}   # what is installed", current.version, xr_model::shell(&path)))
        }
        (None, Some(_)) => fault.hint(format!("git -C {} checkout -- {name}", xr_model::shell(&session.root))),
        (None, None) => fault,
    })
}

/// A project of the same name that belongs to another folder must not be taken over.
pub(crate) async fn strangers(session: &Session<'_>, staged: &Staged, adopt: bool) -> Result<()> {
    let project = &staged.resolved.project;
    let ours = session.stack.layout.directory_path();
    let ours = fs::canonicalize(&ours).unwrap_or(ours);
    let theirs = session.engine.project_folders(project).await?;
    // A folder that is not here: this stack's, before it was moved, or one of another machine or tool.
    let elsewhere = theirs.values().find(|folder| !folder.is_empty() && !Path::new(folder).exists());
    if let (Some(folder), false) = (elsewhere, adopt) {
        return Err(Fault::new(format!(
            "compose project `{project}` has containers that were made from {folder}, which is not on this host: installing here would replace them"
        ))
        .hint("if they are this stack's, from before it was moved: xr install --adopt; else give this stack a name of its own: COMPOSE_PROJECT_NAME in .env"));
    }
    let Some(folder) = theirs.values().find(|folder| fs::canonicalize(folder).is_ok_and(|theirs| theirs != ours))
    else {
        return Ok(());
    };
    Err(Fault::new(format!("compose project `{project}` already runs from {folder}: installing here would take over its containers and data"))
        .hint(format!("give this stack a name of its own: xr env set COMPOSE_PROJECT_NAME NAME (in {})", xr_model::shell(&session.stack.layout.env_path()))))
}

/// What the compose files use and somebody else has to make: compose finds out only when it creates the containers, and tells
/// the first that is missing.
pub(crate) async fn externals(session: &Session<'_>, staged: &Staged) -> Result<()> {
    let config = &staged.resolved.json;
    let (mut missing, mut commands) = (Vec::new(), Vec::new());
    for name in external(config, "volumes") {
        if !session.engine.has_volume(&name).await? {
            missing.push(format!("volume {name}"));
            commands.push(format!("docker volume create {name}"));
        }
    }
    for name in external(config, "networks") {
        if session.engine.network_definition(&name).await?.is_none() {
            missing.push(format!("network {name}"));
            commands.push(format!("docker network create {name}"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{}: what is `external` there has to be there, and is not: {}",
        staged.stack.layout.files.join(", "),
        missing.join(", ")
    ))
    .hint(commands.join("; ")))
}

/// What an engine of this age does not do, and compose finds out only when it creates the container (`compose/v2/pkg/compose`,
/// `create.go`: API 1.44).
pub(crate) fn start_interval(session: &Session<'_>, staged: &Staged) -> Result<()> {
    let config = &staged.resolved.json["services"];
    let created =
        |service: &&xr_model::Service| service.replicas > 0 && !staged.invocation.left_out.contains(&service.name);
    let asks = |service: &&xr_model::Service| !config[&service.name]["healthcheck"]["start_interval"].is_null();
    let asking = staged.resolved.services.iter().filter(created).find(asks).map(|service| &service.name);
    match (asking, refuses_start_interval(session.engine.version())) {
        (Some(name), true) => Err(Fault::new(format!(
            "{}: service {name} has `healthcheck.start_interval`, which needs Docker Engine 25, and this is {}",
            staged.stack.layout.files.join(", "),
            session.engine.version()
        ))
        .hint(format!(
            "upgrade the engine; or take it out in compose.override.yaml: services: {{{name}: {{healthcheck: {{start_interval: !reset null}}}}}}"
        ))),
        _ => Ok(()),
    }
}

/// Of a version that the engine did not tell nothing is known.
fn refuses_start_interval(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 25)
}

/// The names on the engine of the external `volumes` or `networks` that a service uses.
fn external(config: &serde_json::Value, kind: &str) -> BTreeSet<String> {
    let services = || config["services"].as_object().into_iter().flatten().map(|(_, service)| &service[kind]);
    let uses = |key: &str| {
        services().any(|used| {
            let listed = used.as_array().into_iter().flatten();
            used.get(key).is_some() || listed.into_iter().any(|one| one["source"] == key || one == key)
        })
    };
    let all = config[kind].as_object().into_iter().flatten();
    let ours = all.filter(|(key, defined)| defined["external"] == true && uses(key));
    ours.map(|(key, defined)| defined["name"].as_str().unwrap_or(key).to_owned()).collect()
}

/// Volumes and containers belong to a project's name: under another one a second stack would come up beside the first, with
/// empty volumes, and both would be healthy.
pub(crate) fn same_project(present: &str, wanted: &str) -> Result<()> {
    if present == wanted {
        return Ok(());
    }
    Err(Fault::new(format!(
        "the compose project would be `{wanted}`, but what is installed here is `{present}`: a second stack would come up, with empty volumes"
    ))
    .hint(format!("keep the name, and with it the data: xr env set COMPOSE_PROJECT_NAME={}", present)))
}

/// New database secrets for old volumes would lock the product out of its own data.
pub(crate) async fn fresh_secrets(session: &Session<'_>, staged: &Staged, first: bool) -> Result<()> {
    let (env, report) = (session.stack.layout.env_path(), &staged.report);
    let database = staged.stack.manifest.database.as_ref().map(|keys| keys.password.as_str());
    // A file that is there and lacks the database's password: until now compose's default was it.
    let made = |key: &&String| report.generated.contains(*key) && xr_env_writer::opens_database(key, database);
    let lacked: Vec<&str> = report.added.iter().filter(made).map(String::as_str).collect();
    let missing = !env.exists() && !report.generated.is_empty();
    let lacking = first && env.exists() && !lacked.is_empty();
    if !missing && !lacking {
        return Ok(());
    }
    let earlier = earlier::data(session, staged).await?;
    if earlier.is_empty() {
        return Ok(());
    }
    let there: Vec<String> = earlier.iter().map(ToString::to_string).collect();
    let there = there.join(", ");
    if lacking {
        let keys = lacked.join(", ");
        return Err(Fault::new(format!(
            "{} lacks {keys}, but there is something of an earlier installation ({there}): a new password would lock the product out of its data",
            env.display()
        ))
        .hint(format!("set the one that the database was made with: xr env set {} --stdin", lacked[0])));
    }
    let removal: Vec<String> = earlier.iter().map(Earlier::removal).collect();
    Err(Fault::new(format!(
        "{} is missing, but there is something of an earlier installation ({there}): new secrets ({}) would lock the product out of its data",
        session.stack.layout.env_path().display(),
        staged.report.generated.join(", ")
    ))
    .hint(format!("restore the old .env; or, to begin anew without the data: {}", removal.join("; "))))
}

/// Whether this is a name that only the stack's containers know: of a service, of its container, of its places on networks.
fn known_inside(config: &serde_json::Value, host: &str) -> bool {
    let services = config["services"].as_object().into_iter().flatten();
    let of = |(name, service): (&String, &serde_json::Value)| {
        let places = service["networks"].as_object().into_iter().flatten();
        let mut aliases = places.flat_map(|(_, place)| place["aliases"].as_array().into_iter().flatten());
        name == host
            || ["container_name", "hostname"].iter().any(|key| service[*key] == host)
            || aliases.any(|one| one == host)
    };
    host == "host.docker.internal" || services.into_iter().any(of)
}

/// A PostgreSQL outside of the stack is asked by a real connection.
pub(crate) async fn database(session: &Session<'_>, staged: &Staged, kind: RunKind) -> Result<()> {
    let Some(keys) = &staged.stack.manifest.database else { return Ok(()) };
    let value = |key: &str| staged.env.get(key).map(|v| v.text).unwrap_or_default();
    let host = value(&keys.host);
    if keys.local.contains(&host) || known_inside(&staged.resolved.json, &host) {
        return Ok(());
    }
    session.phase("database");
    let port = value(&keys.port);
    let env = session.stack.layout.env_path();
    let port = if port.is_empty() { "5432" } else { &port };
    let target = PostgresTarget {
        port: port.parse().map_err(|_| {
            Fault::new(format!("{}: {} is `{port}`, not a port", env.display(), keys.port))
                .hint(format!("xr env set {} 5432", keys.port))
        })?,
        user: value(&keys.user),
        password: Password::new(value(&keys.password)),
        database: value(&keys.name),
        host,
    };
    postgres::check(&target, kind == RunKind::Install).await.map(drop).map_err(|fault| Fault {
        message: format!("the database of {} ({}): {}", env.display(), keys.host, fault.message),
        code: xr_model::exit::FAILED,
        ..fault
    })
}

/// Ports, disk and folders for a plan that is not empty.
pub(crate) async fn machine(session: &Session<'_>, prepared: &Prepared) -> Result<()> {
    ports(prepared)?;
    replaceable(session, prepared)?;
    let need = prepared.manifest.requirements.disk_mib << 20;
    let info = session.engine.info().await?;
    let pulls = prepared.plan.steps().any(|step| matches!(step.action, xr_model::Action::PullImage { .. }));
    if pulls && prepared.generation.mode == Mode::Production {
        room(Path::new(&info.root), need, "xr prune; docker image prune")?;
    }
    let little = session.disks().iter().try_for_each(|folder| {
        room(folder, xr_session::STACK_DISK, &format!("df -h {}; xr prune", xr_model::shell(folder)))
    });
    match (little, demand(prepared.plan.kind)) {
        (Err(fault), Demand::Room) => Err(fault),
        (Err(fault), Demand::Advice) => {
            let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            session.say(Level::Warning, format!("{}{hint}", fault.message));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// An `.env` that is to change and has been mounted cannot be replaced as a whole, which is how a file changes at one moment.
fn replaceable(session: &Session<'_>, prepared: &Prepared) -> Result<()> {
    let path = session.stack.layout.env_path();
    let staged = session.stack.layout.env_in(&xr_session::root_of(session, prepared.generation.number));
    let changes = match (fs::read(&staged), fs::read(&path)) {
        (Ok(staged), Ok(now)) => staged != now,
        _ => false,
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if !changes || !fs::canonicalize(&path).is_ok_and(|path| is_mounted(&mounts, &path)) {
        return Ok(());
    }
    let shown = path.display();
    Err(Fault::new(format!("{shown} is mounted by itself: it can be written, and not be replaced as a whole"))
        .hint(format!("cp {0} {0}.own && umount {0} && mv {0}.own {0}", xr_model::shell(&path))))
}

/// Whether something is mounted at a path, by the lines of `/proc/PID/mountinfo` (proc(5)); what is odd in a path stands there
/// as octal numbers.
fn is_mounted(mounts: &str, path: &Path) -> bool {
    let spelled = [(' ', "\\040"), ('\t', "\\011"), ('\n', "\\012")];
    let path = path.display().to_string().replace('\\', "\\134");
    let path = spelled.iter().fold(path, |path, (odd, number)| path.replace(*odd, number));
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(path.as_str()))
}

/// What a run asks of the disk that `.xr/` and `.env` are on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// It must be there.
    Room,
    /// It is told when there is little.
    Advice,
    /// None.
    Nothing,
}

/// A full disk must not keep a stack down: what is there already is started without room, and the undo is often what
/// frees some.
pub(crate) fn demand(kind: RunKind) -> Demand {
    match kind {
        RunKind::Install | RunKind::Update => Demand::Room,
        RunKind::Rollback => Demand::Advice,
        RunKind::Start | RunKind::Restart => Demand::Nothing,
    }
}

fn ports(prepared: &Prepared) -> Result<()> {
    let held: Vec<&Port> =
        prepared.observed.containers.iter().filter(|c| c.is_running()).flat_map(|c| &c.ports).collect();
    let wanted: Vec<Port> = prepared
        .desired
        .services
        .iter()
        .flat_map(|s| &s.ports)
        .filter(|port| {
            port.until.is_none() && !held.iter().any(|h| h.published == port.published && h.protocol == port.protocol)
        })
        .cloned()
        .collect();
    let Some(taken) = xr_preflight::ports::taken(&wanted).into_iter().next() else { return Ok(()) };
    let service =
        prepared.desired.services.iter().find(|s| s.ports.contains(&taken.port)).map_or("", |s| s.name.as_str());
    let port = &taken.port;
    let by = taken.by.map(|by| format!(" by {by}")).unwrap_or_default();
    Err(Fault::new(format!("port {}/{} of service {service} is taken{by}", port.published, port.protocol))
        .hint(format!("ss -ltnp 'sport = :{}'; stop that program, or publish another port in .env", port.published)))
}

/// Refuses a disk with less than `need` bytes left.
pub(crate) fn room(path: &Path, need: u64, hint: &str) -> Result<()> {
    let Some(there) = path.ancestors().find(|one| one.exists()) else { return Ok(()) };
    let Ok(stat) = rustix::fs::statvfs(there) else { return Ok(()) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= need {
        return Ok(());
    }
    Err(Fault::new(format!(
        "too little disk at {}: {} MiB free, {} MiB needed",
        path.display(),
        free >> 20,
        need >> 20
    ))
    .hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_before_25_refuse_an_interval_for_the_start() {
        assert!(refuses_start_interval("20.10.24+dfsg1") && refuses_start_interval("24.0.9"));
        assert!(!refuses_start_interval("25.0.0") && !refuses_start_interval("28.5.2") && !refuses_start_interval(""));
    }

    #[test]
    fn another_project_name_is_refused_by_both_names() {
        assert!(same_project("ttn", "ttn").is_ok());
        let fault = same_project("ttn", "ttnn").unwrap_err();
        assert!(fault.message.contains("`ttnn`") && fault.message.contains("`ttn`"), "{}", fault.message);
        assert!(fault.hint.unwrap().ends_with("xr env set COMPOSE_PROJECT_NAME=ttn"));
    }

    #[test]
    fn a_database_that_only_the_stacks_containers_know_is_not_asked_from_the_host() {
        let config = serde_json::json!({"services": {"db": {
            "container_name": "shop-db", "hostname": "pg", "networks": {"back": {"aliases": ["rows"]}, "front": null},
        }}});
        for name in ["db", "shop-db", "pg", "rows", "host.docker.internal"] {
            assert!(known_inside(&config, name), "{name}");
        }
        assert!(!known_inside(&config, "db.example.org") && !known_inside(&serde_json::json!({}), "db"));
    }

    #[test]
    fn a_file_that_is_mounted_by_itself_is_known_by_its_place() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      44 21 8:1 /k/env /srv/my\\040shop/.env rw,relatime - ext4 /dev/sda1 rw\n";
        assert!(is_mounted(mounts, Path::new("/srv/my shop/.env")));
        assert!(!is_mounted(mounts, Path::new("/srv/my shop")));
        assert!(!is_mounted(mounts, Path::new("/k/env")));
    }

    #[test]
    fn only_externals_that_a_service_uses_have_to_be_there() {
        let config = serde_json::json!({
            "services": {
                "db": {"volumes": [{"type": "volume", "source": "rows", "target": "/d"}], "networks": {"edge": null}},
                "web": {"networks": {"own": {}}},
            },
            "volumes": {"rows": {"name": "shop-rows", "external": true}, "idle": {"name": "idle", "external": true}},
            "networks": {"edge": {"name": "proxy", "external": true}, "own": {"name": "shop_own"}},
        });
        assert_eq!(external(&config, "volumes"), ["shop-rows".to_owned()].into());
        assert_eq!(external(&config, "networks"), ["proxy".to_owned()].into());
    }

    #[test]
    fn a_full_disk_stops_only_what_needs_room() {
        for (kind, expect) in [
            (RunKind::Install, Demand::Room),
            (RunKind::Update, Demand::Room),
            (RunKind::Rollback, Demand::Advice),
            (RunKind::Start, Demand::Nothing),
            (RunKind::Restart, Demand::Nothing),
        ] {
            assert_eq!(demand(kind), expect, "{kind:?}");
        }
    }
}
