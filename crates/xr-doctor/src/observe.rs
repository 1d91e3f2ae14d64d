//! Gathering facts: everything at once, and nothing that fails takes the others with it.

mod compose;
mod engine;
mod history;
mod places;
mod settings;
mod tree;
mod trust;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;
use xr_journal::Home;
use xr_model::{Fault, Result, Service};
use xr_preflight::certificate;
use xr_session::secrets;
use xr_stack::{Layout, Manifest, Site};

use super::facts::{CertificateFact, Facts, Seen, Trouble};

/// How much is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    /// Ask registries what tags mean now.
    pub online: bool,
    /// Also what costs a process more: the version of the compose plugin.
    pub thorough: bool,
}

/// What is known before anything slow is asked.
pub(super) struct Ground<'a> {
    pub root: &'a Path,
    pub home: Home,
    pub project: String,
    /// Where compose runs.
    pub folder: PathBuf,
    /// One folder for each disk that xr writes to.
    pub disks: Vec<PathBuf>,
}

/// Looks at the stack at `root`. Changes nothing. `told`: the services as compose resolves them, where somebody else asks it
/// for them anyway and soon knows.
///
/// # Errors
/// When `root` cannot be read at all.
pub async fn observe(root: &Path, scope: Scope, told: impl Future<Output = Option<Vec<Service>>>) -> Result<Facts> {
    let owner = places::owner(root)?;
    let home = Home::of(root);
    let history = history::read(&home);
    let current = history.current.as_ref().ok().and_then(Option::as_ref);
    let (layout, manifest, stack_troubles) = stack(root, &home, current);
    let settings = settings::read(root, &home, layout.as_ref(), &history);
    let project = compose::project(root, layout.as_ref(), current, settings.env.as_ref().ok().and_then(Option::as_ref));
    let folder = layout.as_ref().map_or_else(|| root.to_owned(), Layout::directory_path);
    let env = layout.as_ref().map(Layout::env_path);
    let disks = xr_session::disks(root, env.as_deref(), home.path());
    let ground = Ground { root, home, project, folder, disks };

    let call = compose::Call::new(layout.as_ref(), &manifest, &settings, current);
    let composed = async {
        let Some(call) = call else { return Ok(None) };
        match told.await.filter(|_| call.resolves()) {
            Some(services) => Ok(Some((Ok(Some(services)), None))),
            None => spawn_blocking(move || Some(call.run())).await,
        }
    };
    let version = spawn_blocking(move || scope.thorough.then(compose::version).flatten());
    let tree = tree::read(root, layout.as_ref());
    let files = {
        let (root, home, disks) = (root.to_owned(), ground.home.clone(), ground.disks.clone());
        spawn_blocking(move || places::read(&root, env.as_deref(), &home, owner, &disks))
    };
    let certificate = {
        let (root, layout, rule) = (root.to_owned(), layout.clone(), manifest.certificate.clone());
        spawn_blocking(move || certificate_of(&root, layout.as_ref(), rule?))
    };
    let engine = engine::read(&ground, &history, &manifest, scope);
    let (composed, version, tree, files, certificate, engine) =
        tokio::join!(composed, version, tree, files, certificate, engine);

    let died = || Trouble { message: "a thread of the doctor died".to_owned(), hint: None };
    let (services, hashes) = match composed.map_err(|_| died()) {
        Ok(Some(answer)) => answer,
        Ok(None) => (Ok(None), None),
        Err(trouble) => (Err(trouble), None),
    };
    let (places, foreign, read_only) = files.unwrap_or_default();
    let known_secrets = layout.as_ref().map(|layout| secrets(&ground.home, layout, &manifest)).unwrap_or_default();
    let trust = trust::read(root, &ground.home, &manifest.trust, &history);
    let mut facts = Facts {
        root: root.to_owned(),
        layout,
        manifest,
        stack_troubles,
        history,
        tree,
        settings,
        places,
        read_only,
        foreign,
        owner,
        engine: engine.info,
        project: ground.project,
        strangers: engine.strangers,
        networks: engine.networks,
        containers: engine.containers,
        last_words: engine.last_words,
        secrets: known_secrets,
        images: engine.images,
        services,
        hashes,
        compose_version: version.ok().flatten(),
        taken: Vec::new(),
        silent: Vec::new(),
        machine: engine.machine,
        certificate: certificate.ok().flatten(),
        registry: engine.registry,
        trust,
        now: jiff::Timestamp::now().as_second(),
    };
    let ports = engine::wanted_ports(&facts);
    if let Ok((taken, silent)) = spawn_blocking(move || engine::ports(ports)).await {
        (facts.taken, facts.silent) = (taken, silent);
    }
    Ok(facts)
}

/// The stack as its publisher describes it; where that is broken, as the generation that serves described it.
fn stack(root: &Path, home: &Home, current: Option<&xr_model::Generation>) -> (Option<Layout>, Manifest, Vec<Trouble>) {
    let mut troubles = Vec::new();
    if let Err(fault) = Site::read(&home.site()) {
        troubles.push(fault.into());
    }
    match xr_stack::load(root) {
        Ok(stack) => (Some(stack.layout), stack.manifest, troubles),
        Err(fault) => {
            troubles.push(fault.into());
            let kept = current.and_then(|g| xr_stack::load(&history::files(root, home, g.number)).ok());
            let (layout, manifest) = match kept {
                Some(stack) => (Some(stack.layout.under(root)), stack.manifest),
                None => (Layout::find(root, &Manifest::default()).ok(), Manifest::default()),
            };
            (layout, manifest, troubles)
        }
    }
}

fn certificate_of(root: &Path, layout: Option<&Layout>, rule: xr_stack::Certificate) -> Option<CertificateFact> {
    let last = format!("/{}", rule.directory.rsplit('/').next().unwrap_or(&rule.directory));
    let mentioned = || {
        layout.is_some_and(|layout| {
            layout
                .files
                .iter()
                .any(|file| std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&last)))
        })
    };
    if rule.if_mentioned && !mentioned() {
        return None;
    }
    let path = root.join(&rule.directory).join(&rule.certificate);
    let expiry = path.exists().then(|| certificate::expiry(&path).map_err(Trouble::from));
    Some(CertificateFact { path, expiry })
}

/// What the compose call said: services, hashes.
type Composed = (Seen<Option<Vec<xr_model::Service>>>, Option<BTreeMap<String, String>>);

pub(super) fn no_engine() -> Trouble {
    Trouble::from(Fault::new("the Docker engine was not asked"))
}
