//! What compose says: one call.
//!
//! Compose's own hashes tell best what a plain `docker compose up` would recreate. From 2.22 on
//! `config --hash` leaves `env_file` unresolved and so never agrees with the labels of services that have one
//! ([docker/compose#14001](https://github.com/docker/compose/issues/14001)); there the resolved definition is asked for
//! instead, and compared with the one that the generation recorded.

use std::path::Path;

use xr_env_writer::EnvFile;
use xr_host::Cmd;
use xr_model::{Generation, Mode};
use xr_release::settings as rules;
use xr_stack::{Compose, Layout, Manifest};

use super::Composed;
use crate::facts::{Settings, Trouble};

/// The call to make.
pub(super) struct Call {
    compose: Compose,
    layout: Layout,
    manifest: Manifest,
    hashes: bool,
}

impl Call {
    /// None when there is nothing to ask about: no compose file, or settings that cannot be read.
    pub(super) fn new(
        layout: Option<&Layout>,
        manifest: &Manifest,
        settings: &Settings,
        current: Option<&Generation>,
    ) -> Option<Self> {
        let layout = layout?;
        let env = settings.env.as_ref().ok()?.as_ref()?;
        let (files, profiles) = match current {
            Some(generation) => (generation.invocation.files.clone(), generation.invocation.profiles.clone()),
            None => {
                let files = rules::compose_files(layout, env, Mode::Production);
                let profiles = rules::profiles(manifest, env, &text_of(layout, &files));
                (files, profiles)
            }
        };
        Some(Self {
            compose: Compose::new(layout, &files, &profiles),
            layout: layout.clone(),
            manifest: manifest.clone(),
            hashes: current.is_some() && !text_of(layout, &files).contains("env_file"),
        })
    }

    /// Whether the resolved services are all that it asks for.
    pub(super) fn resolves(&self) -> bool {
        !self.hashes
    }

    pub(super) fn run(&self) -> Composed {
        if self.hashes {
            return match self.compose.hashes("") {
                Ok(hashes) => (Ok(None), Some(hashes.into_iter().collect())),
                Err(fault) => (Err(fault.into()), None),
            };
        }
        let resolved = self.compose.resolve(&self.layout.root, &self.manifest);
        (resolved.map(|resolved| Some(resolved.services)).map_err(Trouble::from), None)
    }
}

fn text_of(layout: &Layout, files: &[String]) -> String {
    files.iter().filter_map(|file| std::fs::read_to_string(layout.root.join(file)).ok()).collect()
}

/// The compose project's name: the generation's, else as compose finds it (`COMPOSE_PROJECT_NAME`, `name:`, the folder).
pub(super) fn project(
    root: &Path,
    layout: Option<&Layout>,
    current: Option<&Generation>,
    env: Option<&EnvFile>,
) -> String {
    if let Some(generation) = current {
        return generation.invocation.project.clone();
    }
    if let Some(name) =
        env.and_then(|env| env.get("COMPOSE_PROJECT_NAME")).map(|v| v.text).filter(|name| !name.is_empty())
    {
        return name;
    }
    let text = layout.map(|layout| text_of(layout, &layout.files)).unwrap_or_default();
    if let Some(name) = text.lines().find_map(|line| line.strip_prefix("name:")) {
        return name.trim().trim_matches(['"', '\'']).to_owned();
    }
    let folder = layout.map_or_else(|| root.to_owned(), Layout::directory_path);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// The plugin's version.
pub(super) fn version() -> Option<String> {
    let output = Cmd::new("docker").args(["compose", "version", "--short"]).run().ok()?;
    (output.code == 0).then(|| output.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_named_as_compose_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("My.Stack");
        std::fs::create_dir_all(&root).unwrap();
        assert_eq!(project(&root, None, None, None), "mystack");
        let env = EnvFile::parse(b"COMPOSE_PROJECT_NAME=orbit\n").unwrap();
        assert_eq!(project(&root, None, None, Some(&env)), "orbit");
    }
}
