//! `.env`, the tree's template, and the templates of kept generations.

use std::path::{Path, PathBuf};

use xr_env_writer::EnvFile;
use xr_journal::Home;
use xr_stack::Layout;

use super::history;
use crate::{
    doctor::facts::{History, Settings, Trouble},
    settings::parse_env,
};

pub(super) fn read(root: &Path, home: &Home, layout: Option<&Layout>, history: &History) -> Settings {
    let Some(layout) = layout else {
        return Settings {
            env: Ok(None),
            copy: None,
            template: None,
            applied_template: None,
            known_keys: Default::default(),
        };
    };
    let parse = |path: Option<PathBuf>| -> Option<EnvFile> { parse_env(&path?).ok().flatten() };
    let of = |number: u32, file: Option<&String>| Some(history::files(root, home, number).join(file?));
    let current = history.current.as_ref().ok().and_then(Option::as_ref).map(|g| g.number);
    let kept = history.kept.as_deref().unwrap_or_default();
    let templates = kept.iter().filter_map(|g| parse(of(g.number, layout.template.as_ref())));
    let known_keys = templates.flat_map(|t| t.keys().into_iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    Settings {
        env: parse_env(&layout.env_path()).map_err(Trouble::from),
        copy: current.and_then(|n| of(n, Some(&layout.env))).filter(|path| path.exists()),
        template: parse(layout.template_path()),
        applied_template: current.and_then(|n| parse(of(n, layout.template.as_ref()))),
        known_keys,
    }
}
