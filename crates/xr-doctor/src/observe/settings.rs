//! `.env`, the tree's template, and the templates of kept generations: the `.env` that a release tracks, else its template.

use std::path::{Path, PathBuf};

use xr_env_writer::EnvFile;
use xr_journal::Home;
use xr_model::Generation;
use xr_release::templates;
use xr_session::parse_env;
use xr_stack::Layout;
use xr_version_resolver::Checkout;

use super::history;
use crate::facts::{History, Settings, Trouble};

pub(super) fn read(root: &Path, home: &Home, layout: Option<&Layout>, history: &History) -> Settings {
    let Some(layout) = layout else {
        return Settings {
            env: Ok(None),
            copy: None,
            template: None,
            applied_template: None,
            known_keys: Default::default(),
            compose: String::new(),
        };
    };
    let parse = |path: Option<PathBuf>| -> Option<EnvFile> { parse_env(&path?).ok().flatten() };
    let of = |number: u32, file: Option<&String>| Some(history::files(root, home, number).join(file?));
    let checkout = Checkout::open(root).ok().flatten();
    let head = checkout.as_ref().and_then(|checkout| checkout.head().ok()).map(|head| head.commit);
    let tracked = |commit: Option<&String>| -> Option<EnvFile> {
        templates::tracked(checkout.as_ref()?, commit?, &layout.env).ok().flatten()
    };
    let own = tracked(head.as_ref());
    let said_by = |g: &Generation| {
        let same = g.commit.is_some() && g.commit == head;
        let own = if same { own.clone() } else { tracked(g.commit.as_ref()) };
        own.or_else(|| parse(of(g.number, layout.template.as_ref())))
    };
    let generation = history.current.as_ref().ok().and_then(Option::as_ref);
    let current = generation.map(|g| g.number);
    let kept = history.kept.as_deref().unwrap_or_default();
    let templates = kept.iter().filter_map(said_by);
    let known_keys = templates.flat_map(|t| t.keys().into_iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    Settings {
        env: parse_env(&layout.env_path()).map_err(Trouble::from),
        copy: current.map(|n| layout.env_in(&history::files(root, home, n))).filter(|path| path.exists()),
        template: own.clone().or_else(|| parse(layout.template_path())),
        applied_template: generation.and_then(said_by),
        known_keys,
        compose: layout.texts(root),
    }
}
