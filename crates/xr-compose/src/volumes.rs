//! Whose volumes they are. Their label tells a compose project's name only, and two products easily share one (`docker`, when
//! both keep their compose file in `docker/`): what a label says is no reason to delete data.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use xr_host::EngineContainer;
use xr_journal::read_runs;
use xr_model::{Container, Level, MountKind, Result, Service, UnnamedVolume};
use xr_release::staging::Staged;
use xr_session::Session;
use xr_stack::Compose;

/// A project's volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    /// Those that a recorded generation names or a container of this stack mounts.
    pub ours: Vec<String>,
    /// Those that carry the project's label, and nothing else of this stack.
    pub others: Vec<String>,
}

/// The volumes of a project that is this stack's.
///
/// # Errors
/// When the engine or a record cannot be read.
pub async fn of_stack(session: &Session<'_>, project: &str, engine_containers: &[EngineContainer]) -> Result<Volumes> {
    let labelled = session.engine.volumes(project).await?;
    let mut known: BTreeSet<String> = engine_containers
        .iter()
        .filter(|engine_container| engine_container.project == project)
        .flat_map(|engine_container| engine_container.volumes.clone())
        .collect();
    if labelled.iter().any(|volume| !known.contains(volume)) {
        known.extend(recorded(session)?);
    }
    Ok(divide(labelled, &known))
}

/// The volumes of a project's containers that the engine has named: they have no label, and nobody but these containers.
pub fn unnamed(containers: &[Container], engine_containers: &[EngineContainer], project: &str) -> Vec<String> {
    let mounted = containers.iter().flat_map(|container| &container.mounts);
    let of_containers = mounted.filter(|mount| mount.kind != MountKind::Bind).map(|mount| mount.source.as_str());
    let one_off = engine_containers
        .iter()
        .filter(|engine_container| engine_container.project == project && engine_container.one_off);
    let all =
        of_containers.chain(one_off.flat_map(|engine_container| engine_container.volumes.iter().map(String::as_str)));
    let names: BTreeSet<&str> = all.filter(|name| is_unnamed(name)).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The volumes that the engine has named, of each container of these services.
pub fn unnamed_of(services: &[Service], containers: &[Container]) -> Vec<UnnamedVolume> {
    let mut found = Vec::new();
    for service in services {
        let ours = containers.iter().filter(|container| container.service == service.name);
        for (at, container) in ours.enumerate() {
            let unnamed =
                container.mounts.iter().filter(|mount| mount.kind != MountKind::Bind && is_unnamed(&mount.source));
            found.extend(unnamed.map(|mount| UnnamedVolume {
                service: service.name.clone(),
                container: at,
                target: mount.target.clone(),
                volume: mount.source.clone(),
            }));
        }
    }
    found
}

/// The engine gives a volume without a name 64 hexadecimal digits.
pub fn is_unnamed(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn divide(labelled: Vec<String>, known: &BTreeSet<String>) -> Volumes {
    let (ours, others) = labelled.into_iter().partition(|volume| known.contains(volume));
    Volumes { ours, others }
}

/// The volumes that recorded generations name. One whose files compose refuses names none: what it had is kept.
fn recorded(session: &Session<'_>) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for generation in session.generations.all()? {
        let root = xr_session::root_of(session, generation.number);
        let resolved = xr_stack::load(&root).and_then(|stack| {
            // Services that are switched off by a profile now may have run.
            let compose = Compose::new(&stack.layout, &generation.invocation.files, &["*".to_owned()]);
            compose.resolve(&session.root, &stack.manifest)
        });
        match resolved {
            Ok(resolved) => names.extend(named(&resolved.json)),
            Err(fault) => {
                let text =
                    format!("which volumes generation {} has is not known: {}", generation.number, fault.chain());
                session.say(Level::Warning, text);
            }
        }
    }
    Ok(names)
}

/// The volumes that a resolved configuration makes; an external one is somebody else's by its own words.
fn named(config: &Value) -> Vec<String> {
    let volumes = config["volumes"].as_object().into_iter().flatten();
    let own = volumes.filter(|(_, volume)| volume["external"] != true);
    own.filter_map(|(_, volume)| volume["name"].as_str().map(str::to_owned)).collect()
}

/// Tells of volumes that are there before anything was ever installed from here: the stack would take them over.
///
/// # Errors
/// When the engine or a record cannot be read.
pub async fn warn_of_earlier(session: &Session<'_>, staged: &Staged) -> Result<()> {
    if !session.generations.all()?.is_empty() || !read_runs(&session.home)?.is_empty() {
        return Ok(());
    }
    let project = &staged.resolved.project;
    // What containers of this folder have is no riddle.
    let folder = fs::canonicalize(session.stack.layout.directory_path()).ok();
    let engine_containers = session.engine.all_containers().await?;
    let ours =
        engine_containers.iter().filter(|one| one.project == *project && fs::canonicalize(&one.folder).ok() == folder);
    let mounted: BTreeSet<&String> = ours.flat_map(|one| &one.volumes).collect();
    let mut there = session.engine.volumes(project).await?;
    there.retain(|name| !mounted.contains(name));
    if there.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<String> = named(&staged.resolved.json).into_iter().collect();
    let Volumes { ours: taken, .. } = divide(there.clone(), &names);
    let takes = if taken.is_empty() {
        "this stack uses none of them".to_owned()
    } else {
        format!("this stack takes over {}", taken.join(", "))
    };
    session.say(
        Level::Warning,
        format!(
            "nothing was ever installed from here, but project `{project}` has volumes: {}; {takes}. They are this product's from before xr, or another product's that had the same project name: look with docker volume inspect NAME; COMPOSE_PROJECT_NAME in {} gives this stack a name of its own",
            there.join(", "),
            session.stack.layout.env_path().display()
        ),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_volume_of_the_same_project_that_no_generation_names_is_not_ours() {
        let config = json!({"volumes": {
            "pg": {"name": "docker_pg"}, "shared": {"name": "docker_shared", "external": true}, "plain": null
        }});
        let known = named(&config).into_iter().collect();
        let labelled = ["docker_pg", "docker_shared", "docker_theirs"].map(str::to_owned).to_vec();
        let volumes = divide(labelled, &known);
        assert_eq!(volumes.ours, ["docker_pg"]);
        assert_eq!(volumes.others, ["docker_shared", "docker_theirs"]);
    }
}
