//! Whose project it is. Compose names a project after its folder, so two clones on one engine easily share a name:
//! a name alone is no reason to stop or remove anything.

use std::path::{Path, PathBuf};

use xr_host::EngineContainer;
use xr_journal::read_runs;
use xr_model::{Fault, Level, Result, Service};
use xr_release::settings;
use xr_session::Session;

/// The compose project of this stack, proven to be its own: the recorded one, else what compose makes of the files when
/// a run was made here or a container was made from here.
///
/// # Errors
/// When nothing shows that anything of it is this stack's.
pub async fn project(session: &Session<'_>) -> Result<String> {
    let recorded = match session.generations.current()? {
        Some(generation) => Some(generation),
        None => session.generations.all()?.pop(),
    };
    let proven = recorded.is_some() || !read_runs(&session.home)?.is_empty();
    let project = match recorded {
        Some(generation) => generation.invocation.project,
        None => guess(session).map_err(|fault| session.without_secrets(fault))?,
    };
    let ours = told_of_foreign(session, &project).await?;
    if proven || ours {
        return Ok(project);
    }
    Err(Fault::new(format!("nothing is installed in {}", session.root.display())).hint("xr install"))
}

/// Whether containers show that this folder has a project of this name. A foreign project of the same name is named.
async fn told_of_foreign(session: &Session<'_>, project: &str) -> Result<bool> {
    let engine_containers = session.engine.all_containers().await?;
    let folder = session.stack.layout.directory_path();
    if let Some(other) = foreign_folder(&engine_containers, project, &session.root, &folder) {
        let text = format!(
            "{} runs under the project name `{project}` too: what it has is left alone (a name of its own, for the one that has no data yet: COMPOSE_PROJECT_NAME in .env)",
            other.display()
        );
        session.say(Level::Warning, text);
    }
    Ok(engine_containers.iter().any(|engine_container| {
        engine_container.project == project && xr_session::same(Path::new(&engine_container.folder), &folder)
    }))
}

/// Refuses when a foreign project of the same name has a service that this stack has too: compose takes the containers of
/// both for those of one.
///
/// # Errors
/// Then, and when the engine does not answer.
pub async fn refuse_foreign(session: &Session<'_>, project: &str, services: &[Service]) -> Result<()> {
    let folder = session.stack.layout.directory_path();
    let all = session.engine.containers(project).await?;
    let Some(theirs) = all.iter().find(|one| {
        xr_session::is_foreign(&one.folder, &session.root, &folder)
            && services.iter().any(|service| service.name == one.service)
    }) else {
        return Ok(());
    };
    Err(Fault::new(format!(
        "{} has a service `{}` under the project name `{project}` too ({}): compose would take its container for one of this stack",
        theirs.folder, theirs.service, theirs.name
    ))
    .hint(format!(
        "give {} a name of its own: COMPOSE_PROJECT_NAME in its .env; or stop the other: docker compose --project-directory {} down",
        // What has volumes of the old name would begin without them.
        if session.generations.current()?.is_some() { "the other" } else { "one of the two" },
        xr_model::shell(&theirs.folder)
    )))
}

/// Another folder that containers of the project were made from.
fn foreign_folder(engine_containers: &[EngineContainer], project: &str, root: &Path, ours: &Path) -> Option<PathBuf> {
    let folders = engine_containers.iter().filter(|engine_container| engine_container.project == project);
    folders
        .map(|engine_container| &engine_container.folder)
        .find(|folder| xr_session::is_foreign(folder, root, ours))
        .map(PathBuf::from)
}

fn guess(session: &Session<'_>) -> Result<String> {
    let layout = &session.stack.layout;
    let env = xr_session::parse_env(&layout.env_path())?.unwrap_or_default();
    let files = settings::compose_files(layout, &env, xr_model::Mode::Production);
    let compose = xr_stack::Compose::new(layout, &files, &[]);
    let fault = match compose.resolve(&session.root, &session.stack.manifest) {
        Ok(resolved) => return Ok(resolved.project),
        Err(fault) => fault,
    };
    // After an install that failed the version is not in `.env` yet; the name seldom depends on it.
    let bare = compose.command().args(["config", "--no-interpolate", "--format", "json"]).run()?;
    let json = serde_json::from_slice::<serde_json::Value>(&bare.stdout).unwrap_or_default();
    let name = json["name"].as_str().filter(|name| bare.code == 0 && !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| {
        Fault::new(format!(
            "nothing is installed in {}, and compose does not tell the project's name",
            session.root.display()
        ))
        .because(fault)
        .hint("xr install")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine_container(project: &str, folder: &str) -> EngineContainer {
        EngineContainer {
            id: String::new(),
            name: String::new(),
            project: project.to_owned(),
            folder: folder.to_owned(),
            one_off: false,
            image: String::new(),
            image_id: String::new(),
            volumes: Vec::new(),
        }
    }

    #[test]
    fn a_project_of_the_same_name_from_another_folder_is_foreign() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let here = here.path();
        let (ours, theirs) = (here.to_string_lossy().into_owned(), there.path().to_string_lossy().into_owned());
        for (name, folder, is_theirs) in [
            ("docker", theirs.as_str(), true),
            ("docker", &ours, false),
            ("docker", "", false),
            ("docker", "/no/such", false),
            ("other", &theirs, false),
        ] {
            let found = foreign_folder(&[engine_container(name, folder)], "docker", here, here);
            assert_eq!(found.is_some(), is_theirs, "{name} {folder}");
        }
    }
}
