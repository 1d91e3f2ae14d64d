//! Installs and updates: resolve, stage, pin, observe.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use xr_compose::{adopt, networks, ownership, volume_changes, volumes};
use xr_env_writer::EnvFile;
use xr_model::{
    Desired, DesiredHook, GENERATION_FORMAT, Generation, Level, Mode, Observed, PinnedImage, Result, RunKind, Service,
    Version,
};
use xr_release::{
    build, earlier,
    images::{self, Pinning, Unpinned},
    staging::{self, Order, Staged},
    trust,
};
use xr_session::Session;
use xr_stack::{HookTime, Manifest};
use xr_version_resolver::{Checkout, Resolution, Source, version_file};

use super::{Parts, Prepared, Request, Wanted, backups, checks, release::resolve_release};

/// An install or update, ready to be planned.
pub(super) async fn forward(session: &Session<'_>, request: &Request) -> Result<Prepared> {
    let current = session.generations.current()?;
    let old_mode = current.as_ref().map(|g| g.mode).unwrap_or_default();
    let (kind, mode) = match &request.wanted {
        Wanted::Install { dev, .. } => (RunKind::Install, if *dev { Mode::Dev } else { Mode::Production }),
        _ => (RunKind::Update, old_mode),
    };
    checks::settings(session, kind)?;
    session.phase("resolve");
    // Most updates find nothing new: what runs is looked at while the remote thinks.
    let (resolution, running) =
        tokio::join!(resolve_release(session, request, current.as_ref()), running(session, kind, current.as_ref()));
    let resolution = resolution?;
    if let (Some(moved), false) = (&resolution.moved, request.accept_repushed) {
        let what = match &resolution.source {
            Source::Branch(branch) => format!("the branch {branch} was rewritten"),
            _ => format!("the tag of {} was re-pushed", resolution.version),
        };
        let at = moved.get(..12).unwrap_or(moved);
        let text = format!("{what}: it is at {at} now (to take it: xr update --accept-repushed)");
        session.say(Level::Warning, text);
    }
    if kind == RunKind::Update
        && let Some(current) = &current
        && resolution.unchanged
        && !request.refresh
        && request.set.is_empty()
    {
        return Ok(unchanged(session, current.clone(), &running?, resolution.notes));
    }
    if let (Wanted::Update { to: None, .. }, Some(current), Some(commit)) =
        (&request.wanted, &current, &resolution.commit)
        && current.commit.as_ref() != Some(commit)
        && let Some(held) = xr_release::hold::held(session, &resolution.version, commit)?
    {
        session.say(Level::Warning, held.told());
        return Ok(unchanged(session, current.clone(), &running?, resolution.notes));
    }
    if let (Some(checkout), Some(_)) = (&session.checkout, &resolution.commit) {
        checkout.refuse_local_changes(&session.stack.layout.managed())?;
    }
    if let (Some(checkout), Some(commit)) = (&session.checkout, &resolution.commit)
        && checkout.head()?.commit != *commit
    {
        checkout.refuse_switch(commit, &session.stack.layout.managed())?;
    }
    if let (Some(checkout), Some(commit)) = (&session.checkout, &resolution.commit) {
        submodules(session, checkout, commit)?;
    }
    let mut checked = trust::check(session, &request.trust_keys, current.as_ref(), &resolution)?;
    session.phase("stage");
    let without = request.without.clone().unwrap_or_else(|| {
        current
            .as_ref()
            .map_or_else(|| session.site.without.clone(), |generation| generation.invocation.left_out.clone())
    });
    let tag = usual_spelling(session, &resolution.version, current.is_some())?;
    let mut order = Order {
        version: &resolution.version,
        tag: &tag,
        commit: resolution.commit.as_deref(),
        mode,
        old_mode,
        keep_tag: false,
        replace_placeholders: false,
        set: &request.set,
        without: &without,
    };
    let mut staged = staging::stage(session, &order)?;
    checked.staged(session, &staged)?;
    if let Some(current) = &current {
        checks::same_project(&current.invocation.project, &staged.resolved.project)?;
    } else {
        checks::strangers(session, &staged, request.adopt).await?;
        // Known secrets are replaced as long as nothing can have been made with them.
        if !staged.report.placeholders.is_empty() && earlier::data(session, &staged).await?.is_empty() {
            order.replace_placeholders = true;
            staged = staging::stage(session, &order)?;
            checked.staged(session, &staged)?;
        }
    }
    ownership::refuse_foreign(session, &staged.resolved.project, &staged.resolved.services).await?;
    checks::externals(session, &staged).await?;
    checks::start_interval(session, &staged)?;
    checks::fresh_secrets(session, &staged, current.is_none()).await?;
    volumes::warn_of_earlier(session, &staged).await?;
    checks::database(session, &staged, kind).await?;
    if mode == Mode::Dev && !request.dry_run {
        session.phase("build");
        build::all(session, &staged, &resolution.version, resolution.commit.as_deref())?;
    }
    session.phase("images");
    let images = match pinned(session, request, &staged, &resolution, mode, current.as_ref()).await {
        Err(Unpinned::Missing(fault)) => {
            // Publishers spell the git tag and the images' tag apart: v1.2.0 and 1.2.0. And the key may be none of the product's
            // version: its tag stands there before xr has ever written it.
            let key = &staged.stack.manifest.version.key;
            let never_written = current.is_none() || *key != session.stack.manifest.version.key;
            let kept = never_written
                && !is_release(session, xr_session::read_env(&session.stack.layout.env_path())?.as_ref(), key);
            let other = tag.respelled();
            let respelled = other.iter().map(|other| Order { tag: other, ..order });
            let kept = kept.then_some(Order { keep_tag: true, ..order });
            let mut found = None;
            for order in respelled.chain(kept) {
                staged = staging::stage(session, &order)?;
                checked.staged(session, &staged)?;
                let again = pinned(session, request, &staged, &resolution, mode, current.as_ref()).await;
                found = again.ok();
                if found.is_some() {
                    break;
                }
            }
            found.ok_or(fault)?
        }
        first => first?,
    };
    checked.images(session, &images, mode)?;
    let services = kept(&staged);
    if let (RunKind::Update, Some(current)) = (kind, &current)
        && current.version != resolution.version
        && same_images(&current.images, &images)
    {
        let key = &staged.stack.manifest.version.key;
        let text = format!(
            "{} has the images of {}: no container gets another one (if it should: no image takes its tag from {key}; xr init tells how to name the key)",
            resolution.version, current.version
        );
        session.say(Level::Warning, text);
    }
    let head = session.checkout.as_ref().map(xr_version_resolver::Checkout::head).transpose()?;
    let tree_moves =
        head.as_ref().is_some_and(|head| resolution.commit.as_ref().is_some_and(|commit| *commit != head.commit));
    session.phase("observe");
    let observed = session.observe(&staged.resolved.project, &images).await?;
    let mut generation = Generation {
        format: GENERATION_FORMAT,
        number: staged.number,
        parent: current.as_ref().map(|g| g.number),
        made_by: kind,
        version: resolution.version.clone(),
        version_id: String::new(),
        commit: resolution.commit.clone(),
        branch: head.and_then(|head| head.branch),
        applied_at: String::new(),
        mode,
        invocation: staged.invocation.clone(),
        services: services.clone(),
        ended: Vec::new(),
        unnamed_volumes: Vec::new(),
        networks_made: BTreeMap::new(),
        config_hashes: BTreeMap::new(),
        networks: networks::defined(&staged.resolved.json),
        images: images.clone(),
        changes: Vec::new(),
        verified: checked.verified(),
    };
    generation.version_id = version_id(&generation);
    generation.changes = xr_release::files::changes(current.as_ref(), &generation, &staged.report);
    generation.changes.extend(checked.rotation(session, &staged));
    let new = volume_changes::New { staged: &staged, services: &services, commit: resolution.commit.as_deref() };
    // What was built here for trying out has data of its own.
    let accepted = request.accept_empty_data || (current.is_some() && mode != old_mode);
    generation.changes.extend(volume_changes::check(session, current.as_ref(), &observed, &new, accepted).await?);
    let unbuilt = services.iter().filter(|s| request.dry_run && s.builds && is_built_here(&generation.images, &s.name));
    generation.changes.extend(unbuilt.map(|service| format!("{}: its image is built here", service.name)));
    let mut notes = resolution.notes;
    notes.extend(notes_on(&staged));
    // Later they are what the admin has put there.
    if current.is_none() && !staged.report.unread.is_empty() {
        notes.push(unread(&staged));
    }
    let foretold = adopt::foretell(session, &staged, current.as_ref(), &observed)?;
    let previous_specs = match &current {
        Some(current) => current.specs_of(&observed.containers, &services),
        None => adopt::specs(session, &staged, &services, &observed, &foretold, tree_moves),
    };
    let remade_networks = networks::remade(session, current.as_ref(), &generation.networks, &foretold.networks).await?;
    let desired = Desired {
        remade_networks,
        version: resolution.version,
        generation: staged.number,
        commit: resolution.commit,
        hooks: hooks(&staged.stack.manifest, current.is_none(), &services),
        backups: if request.no_backup {
            Vec::new()
        } else {
            backups(&staged.stack.manifest, &observed, session).await?
        },
        restores: Vec::new(),
        settle: staged.stack.manifest.health.settle.unwrap_or(Duration::ZERO),
        smoke: services.iter().any(Service::is_published),
        fleet: None,
        services,
        left_out: Vec::new(),
        images,
        previous_specs,
        ended: current.as_ref().map(|g| g.ended.clone()).unwrap_or_default(),
        files_change: staged.files_change || tree_moves,
    };
    let (manifest, env) = (staged.stack.manifest, staged.report);
    let parts = Parts { kind, desired, generation, manifest, current, observed };
    Ok(Prepared { notes, env, ..Prepared::unplanned(parts) })
}

/// The version as the images' tags are likely to spell it: as they did before, as the template does, as VERSION does.
fn usual_spelling(session: &Session<'_>, version: &Version, installed: bool) -> Result<Version> {
    let layout = &session.stack.layout;
    let key = &session.stack.manifest.version.key;
    let spelled_in = |path: Option<PathBuf>| -> Result<Option<Version>> {
        let file = path.map(|path| xr_session::parse_env(&path)).transpose()?.flatten();
        Ok(file.and_then(|file| file.get(key)?.text.parse().ok()))
    };
    let before = if installed { spelled_in(Some(layout.env_path()))? } else { None };
    let sample = match before {
        Some(before) => Some(before),
        None => spelled_in(layout.template_path())?.or_else(|| version_file::read(&layout.version_path()).ok()),
    };
    Ok(sample.map_or_else(|| version.clone(), |sample| version.spelled_like(&sample)))
}

/// Whether the tag that stands in the settings is that of another release of the product.
fn is_release(session: &Session<'_>, env: Option<&EnvFile>, key: &str) -> bool {
    let tag = env.and_then(|env| env.get(key)).map(|value| value.text).unwrap_or_default();
    let known = |name: String| {
        let tree = session.checkout.as_ref().map(|checkout| checkout.ids(&format!("refs/tags/{name}"), &[]));
        tree.is_some_and(|tree| tree.is_ok())
    };
    known(format!("v{tag}")) || known(tag)
}

/// The images of what is staged, each by digest.
async fn pinned(
    session: &Session<'_>,
    request: &Request,
    staged: &Staged,
    resolution: &Resolution,
    mode: Mode,
    current: Option<&Generation>,
) -> std::result::Result<Vec<PinnedImage>, Unpinned> {
    let services = kept(staged);
    let floating = staged.report.floating.as_deref();
    let wanted = images::wanted(&services, &staged.stack.manifest, &staged.env, mode, floating);
    let pinning = Pinning {
        version: &resolution.version,
        mode,
        current: current.filter(|c| !(c.version == resolution.version && request.refresh)),
        floating,
        refresh: request.refresh,
        accept_repushed: request.accept_repushed,
        services: &services,
    };
    let build_some = |services: &[String]| {
        if request.dry_run {
            return Ok(false);
        }
        session.phase("build");
        build::some(session, staged, services, resolution.commit.as_deref()).map(|()| true)
    };
    images::pin(session, wanted, &pinning, &build_some).await
}

/// Has the commits of the release's submodules here before anything moves, and tells of those that never were.
fn submodules(session: &Session<'_>, checkout: &Checkout, commit: &str) -> Result<()> {
    let absent: Vec<String> = checkout
        .submodules(commit)?
        .into_iter()
        .filter(|submodule| !checkout.has_submodule(submodule))
        .map(|submodule| submodule.path)
        .collect();
    if !absent.is_empty() {
        let text = format!(
            "git submodules that are not here: {} (what mounts their files finds empty folders: git -C {} submodule update --init --recursive)",
            absent.join(", "),
            xr_model::shell(&session.root)
        );
        session.say(Level::Warning, text);
    }
    checkout.fetch_submodules(commit)
}

/// Whether these are the same images, however they are called.
fn same_images(old: &[PinnedImage], new: &[PinnedImage]) -> bool {
    let content = |image: &PinnedImage| match &image.digest {
        Some(digest) => digest.0.clone(),
        None => image.image_id.clone(),
    };
    let of = |images: &[PinnedImage]| -> BTreeSet<String> { images.iter().map(content).collect() };
    of(old) == of(new)
}

/// Whether no registry has the image of a service.
fn is_built_here(images: &[PinnedImage], service: &str) -> bool {
    images.iter().any(|image| image.digest.is_none() && image.services.iter().any(|name| name == service))
}

/// The services of the present generation that run, for an update.
async fn running(session: &Session<'_>, kind: RunKind, current: Option<&Generation>) -> Result<BTreeSet<String>> {
    match current {
        Some(current) if kind == RunKind::Update => session.engine.running_services(&current.invocation.project).await,
        _ => Ok(BTreeSet::new()),
    }
}

/// The cheap way out: the version is the current one.
fn unchanged(session: &Session<'_>, current: Generation, running: &BTreeSet<String>, notes: Vec<String>) -> Prepared {
    let down: Vec<&str> = current
        .services
        .iter()
        .filter(|s| !s.may_be_done(&current.services, &current.ended) && !running.contains(&s.name))
        .map(|s| s.name.as_str())
        .collect();
    if !down.is_empty() {
        let text = format!("not running: {} (xr start brings it up, xr doctor tells more)", down.join(", "));
        session.say(Level::Warning, text);
    }
    let desired = Desired {
        version: current.version.clone(),
        generation: current.number,
        commit: current.commit.clone(),
        services: Vec::new(),
        left_out: Vec::new(),
        images: Vec::new(),
        previous_specs: BTreeMap::new(),
        ended: Vec::new(),
        files_change: false,
        hooks: Vec::new(),
        backups: Vec::new(),
        restores: Vec::new(),
        remade_networks: Vec::new(),
        settle: Duration::ZERO,
        smoke: false,
        fleet: None,
    };
    let parts = Parts {
        kind: RunKind::Update,
        desired,
        // What it changed when it came is not what happens now.
        generation: Generation { changes: Vec::new(), ..current.clone() },
        manifest: session.stack.manifest.clone(),
        current: Some(current),
        observed: Observed::default(),
    };
    Prepared { notes, ..Prepared::unplanned(parts) }
}

fn kept(staged: &Staged) -> Vec<Service> {
    staged.resolved.services.iter().filter(|s| !staged.invocation.left_out.contains(&s.name)).cloned().collect()
}

fn hooks(manifest: &Manifest, first: bool, services: &[Service]) -> Vec<DesiredHook> {
    let runs = |hook: &xr_stack::Hook| {
        services.iter().any(|s| s.name == hook.service) && (hook.when == HookTime::Release || first)
    };
    let desired = |(index, hook): (usize, &xr_stack::Hook)| DesiredHook {
        index,
        name: hook.name.clone(),
        service: hook.service.clone(),
    };
    manifest.hooks.iter().enumerate().filter(|(_, hook)| runs(hook)).map(desired).collect()
}

fn notes_on(staged: &Staged) -> Vec<String> {
    let mut notes = Vec::new();
    let report = &staged.report;
    if let Some(tag) = &report.floating {
        let key = &staged.stack.manifest.version.key;
        notes.push(format!("{key}={tag} is kept as it is: what the tag means is asked for with each version"));
    }
    if !report.of_the_shell.is_empty() {
        let keys = report.of_the_shell.join(", ");
        let env = &staged.stack.layout.env;
        notes.push(format!(
            "taken from the shell that xr runs in, not from {env}, and another for cron or at boot: {keys}"
        ));
    }
    if !report.placeholders.is_empty() {
        notes.push(format!("empty or still the template's placeholder: {}", report.placeholders.join(", ")));
    }
    if !report.obsolete.is_empty() {
        notes.push(format!("no longer in the template, kept: {}", report.obsolete.join(", ")));
    }
    notes
}

/// Settings of an older release in a fresh clone: what they led to is not mounted any more.
fn unread(staged: &Staged) -> String {
    let holds = |key: &String| {
        let value = staged.env.get(key).map(|value| value.text).unwrap_or_default();
        let folder = value.starts_with('/') && fs::read_dir(&value).is_ok_and(|mut entries| entries.next().is_some());
        if folder { format!("{key} ({value} has files in it)") } else { key.clone() }
    };
    let keys: Vec<String> = staged.report.unread.iter().map(holds).collect();
    format!("in {}, and named by no file of this version: {}", staged.stack.layout.env, keys.join(", "))
}

fn version_id(generation: &Generation) -> String {
    let content = serde_json::json!({
        "version": generation.version,
        "services": generation.services,
        "images": generation.images.iter().map(|i| (&i.reference, &i.digest)).collect::<Vec<_>>(),
        "invocation": generation.invocation.files,
    });
    Sha256::digest(content.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}
