//! Whose project it is. Compose names a project after its folder, so two clones on one engine easily share a name:
//! a name alone is no reason to stop or remove anything.

use std::path::{Path, PathBuf};

use xr_host::Tenant;
use xr_journal::read_runs;
use xr_model::{Fault, Result};

use crate::{World, settings};

/// The compose project of this stack, proven to be its own: the recorded one, else what compose makes of the files when
/// a run was made here or a container was made from here.
///
/// # Errors
/// When containers of that name were made from another folder, or nothing shows that anything of it is this stack's.
pub async fn project(world: &World<'_>) -> Result<String> {
    let recorded = match world.generations.current()? {
        Some(generation) => Some(generation),
        None => world.generations.all()?.pop(),
    };
    let proven = recorded.is_some() || !read_runs(&world.home)?.is_empty();
    let project = match recorded {
        Some(generation) => generation.invocation.project,
        None => guess(world)?,
    };
    let ours = refuse_strangers(world, &project).await?;
    if proven || ours {
        return Ok(project);
    }
    Err(Fault::new(format!("nothing is installed in {}", world.root.display())).hint("xr install"))
}

/// Refuses when another folder has a project of this name; tells whether containers show that this folder has it.
pub(crate) async fn refuse_strangers(world: &World<'_>, project: &str) -> Result<bool> {
    let tenants = world.engine.tenants().await?;
    let folder = world.stack.layout.directory_path();
    if let Some(other) = stranger(&tenants, project, &folder) {
        return Err(Fault::new(format!(
            "the project `{project}` on this engine belongs to {}, not to {}",
            other.display(),
            folder.display()
        ))
        .hint("xr --stack with that folder; or a name of its own for this stack: COMPOSE_PROJECT_NAME in .env"));
    }
    Ok(tenants.iter().any(|tenant| tenant.project == project && same(Path::new(&tenant.folder), &folder)))
}

/// Another folder that exists and that containers of the project were made from. One that is gone was moved here.
fn stranger(tenants: &[Tenant], project: &str, ours: &Path) -> Option<PathBuf> {
    let folders = tenants.iter().filter(|tenant| tenant.project == project && !tenant.folder.is_empty());
    folders.map(|tenant| PathBuf::from(&tenant.folder)).find(|folder| folder.is_dir() && !same(folder, ours))
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn guess(world: &World<'_>) -> Result<String> {
    let layout = &world.stack.layout;
    let env = settings::parse_env(&layout.env_path())?.unwrap_or_default();
    let files = settings::compose_files(layout, &env, xr_model::Mode::Production);
    let compose = xr_stack::Compose::new(layout, &files, &[]);
    let fault = match compose.resolve(&world.root, &world.stack.manifest) {
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
            world.root.display()
        ))
        .because(fault)
        .hint("xr install")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(project: &str, folder: &str) -> Tenant {
        Tenant {
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
    fn a_project_of_the_same_name_from_another_folder_is_a_strangers() {
        let (here, there) = (tempfile(), tempfile());
        let (ours, theirs) = (here.to_string_lossy().into_owned(), there.to_string_lossy().into_owned());
        for (name, folder, is_strange) in [
            ("docker", theirs.as_str(), true),
            ("docker", &ours, false),
            ("docker", "", false),
            ("docker", "/no/such", false),
            ("other", &theirs, false),
        ] {
            let found = stranger(&[tenant(name, folder)], "docker", &here);
            assert_eq!(found.is_some(), is_strange, "{name} {folder}");
        }
        for folder in [here, there] {
            std::fs::remove_dir(folder).unwrap();
        }
    }

    /// A folder of one's own.
    fn tempfile() -> PathBuf {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("xr-claim-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        path
    }
}
