//! The files of the next generation, put together under `.xr/generations/<n>/files/` before anything moves.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;
use xr_env_writer::EnvFile;
use xr_journal::{Ownership, create_private_dir, write_atomic};
use xr_model::{Fault, Invocation, Mode, Result, Version};
use xr_session::Session;
use xr_stack::{Compose, Layout, Resolved, Stack, inside, leads_out};
use xr_version_resolver::{Checkout, version_file};

use crate::{
    bundle_files, config_digest,
    files::has_moved,
    release_keys,
    settings::{self, EnvReport, Inputs},
    templates::{Present, Templates},
};

/// A staged generation.
pub struct Staged {
    /// Its number.
    pub number: u32,
    /// The stack as the staged tree describes it.
    pub stack: Stack,
    /// How compose is called.
    pub invocation: Invocation,
    /// The resolved configuration, with the paths it will have in the tree.
    pub resolved: Resolved,
    /// The merged settings.
    pub env: EnvFile,
    /// What the merge did.
    pub report: EnvReport,
    /// Whether tree files differ from what stands there now.
    pub files_change: bool,
}

/// What to stage.
pub struct Order<'a> {
    /// The release.
    pub version: &'a Version,
    /// The version as the images' tags spell it.
    pub tag: &'a Version,
    /// The commit to take the files from; none: the tree as it stands.
    pub commit: Option<&'a str>,
    /// How it shall run.
    pub mode: Mode,
    /// How the one before ran.
    pub old_mode: Mode,
    /// Whether the tag that stands in the settings is kept, whatever the version is.
    pub keep_tag: bool,
    /// Whether secrets that are still a placeholder are made anew.
    pub replace_placeholders: bool,
    /// Settings asked for on the command line.
    pub set: &'a BTreeMap<String, String>,
    /// Services that are left out.
    pub without: &'a [String],
}

/// Stages a generation.
pub fn stage(session: &Session<'_>, order: &Order<'_>) -> Result<Staged> {
    let number = session.generations.stage()?;
    let root = xr_session::root_of(session, number);
    create_private_dir(&root)?;
    let layout = &session.stack.layout;
    match (order.commit, &session.checkout) {
        (Some(commit), Some(checkout)) => {
            let mut paths: Vec<&str> = vec![&layout.version, "xr.toml"];
            let outside = layout.template.iter().chain(&layout.files).chain(&layout.dev_files);
            paths.extend(
                outside.filter(|path| !path.starts_with(&format!("{}/", layout.directory))).map(String::as_str),
            );
            paths.push(&layout.directory);
            // The whole tree when compose's files stand at its root.
            let paths: &[&str] = if layout.directory.is_empty() { &[] } else { &paths };
            refuse_own_records(order, checkout, commit)?;
            checkout.stage(commit, paths, &root)?;
            copy_admins_own(session, &root)?;
            copy_settings(layout, &root)?;
        }
        _ => copy_tree_files(session, &root)?,
    }
    let is_bundle = order.commit.is_none() || session.checkout.is_none();
    let mut loaded = xr_stack::load(&root);
    if let (Some(commit), Some(checkout)) = (order.commit, &session.checkout) {
        if !loaded.as_ref().is_ok_and(|stack| stack.layout.directory == layout.directory) {
            // Its compose files stand elsewhere now.
            checkout.stage(commit, &[], &root)?;
            loaded = xr_stack::load(&root);
        } else if let Ok(stack) = &loaded
            && bring_named(session, commit, stack, &root)?
        {
            // Which key carries the version may stand there.
            loaded = xr_stack::load(&root);
        }
    }
    let stack = loaded.map_err(|fault| {
        let real = fault.message.replace(&root.display().to_string(), &session.root.display().to_string());
        Fault { message: format!("{} as released: {real}", order.version), ..fault }
    })?;
    release_keys::stage(session, order.commit, &stack.manifest.trust, &root)?;
    // Of a bundle only VERSION: an `.env` elsewhere is the admin's doing.
    let unpacked =
        session.checkout.is_none().then(|| layout.escaping_link()).flatten().filter(|path| *path == layout.version);
    if let Some(path) = stack.layout.escaping_link().or(unpacked) {
        return Err(Fault::new(format!(
            "{} as released: {path} is, or lies behind, a symbolic link that leads out of the stack",
            order.version
        ))
        .hint("the publisher must mend it: xr writes this file"));
    }
    if let Some(path) = stack.layout.escaping_link_of_reading() {
        return Err(Fault::new(format!(
            "{} as released: {path} is, or lies behind, a symbolic link that leads out of the stack",
            order.version
        ))
        .hint("the publisher must mend it: what it leads to is this host's own"));
    }
    let current = xr_session::read_env(&layout.env_path())?;
    let generation = session.generations.current()?;
    let present = Present {
        layout,
        checkout: session.checkout.as_ref(),
        generation: generation.as_ref(),
        kept: generation.as_ref().map(|generation| xr_session::root_of(session, generation.number)),
    };
    let templates = Templates::read(&present, &stack.layout, order.commit)?;
    let inputs = Inputs {
        current: current.as_ref(),
        old_template: templates.old.as_ref(),
        new_template: templates.new.as_ref(),
        manifest: &stack.manifest,
        version: order.version,
        tag: order.tag,
        mode: order.mode,
        old_mode: order.old_mode,
        serves: generation.as_ref(),
        keep_tag: order.keep_tag,
        replace_placeholders: order.replace_placeholders,
        compose: &stack.layout.texts(&root),
        env_name: &stack.layout.env,
        add_missing: !templates.absence_is_meant,
        set: order.set,
    };
    let (env, mut report) = settings::next(&inputs)?;
    refuse_what_cannot_move(session, order, &stack)?;
    session.learn_secrets(&env, &stack.manifest);
    let staged_layout = stack.layout.under(&root);
    write_atomic(&staged_layout.env_path(), &env.to_bytes(), 0o600, Ownership::Keep)?;
    let version_path = staged_layout.version_path();
    let released = version_file::read(&version_path).ok();
    if released.as_ref() != Some(order.version) {
        let version = released.map_or_else(|| order.version.clone(), |released| order.version.spelled_like(&released));
        write_atomic(&version_path, format!("{version}\n").as_bytes(), 0o644, Ownership::Keep)?;
    }

    let mut written = Value::Null;
    if is_bundle {
        let files = settings::compose_files(layout, &env, order.mode);
        written = bundle_files::as_written(&Compose::new(layout, &files, &["*".to_owned()]))?;
        bundle_files::keep_env_files(session, &written, &root)?;
    }
    let bring = |path: &Path| bring(session, order.commit, &root, path);
    let mut resolved = resolve(&stack, &root, &session.root, (&env, order.mode), &bring);
    if let (Ok((compose, ..)), false) = (&resolved, is_bundle)
        && bring_optional(&stack, compose, &root, &bring)?
    {
        resolved = resolve(&stack, &root, &session.root, (&env, order.mode), &bring);
    }
    let (compose, files, profiles, mut resolved) =
        resolved.map_err(|fault| as_released(session, order, &stack, &root, fault))?;
    drop(compose);
    let text: String = files.iter().filter_map(|file| fs::read_to_string(root.join(file)).ok()).collect();
    report.of_the_shell = settings::of_the_shell(&(text + &stack.layout.further_texts(&root)), &resolved.json, &env);
    let own = match is_bundle {
        true => Some(bundle_files::keep(session, &stack, [&written, &resolved.json], number)?),
        false => None,
    };
    config_digest::note(session, &mut resolved, &env, order.commit, own.as_ref().map(|own| (own, root.as_path())))?;
    let mut left_out: Vec<String> = Vec::new();
    for name in order.without {
        match stack.manifest.optional.get(name) {
            Some(group) => left_out.extend(group.iter().cloned()),
            None if resolved.services.iter().any(|s| s.name == *name) => left_out.push(name.clone()),
            None => {
                let known: Vec<&str> = resolved.services.iter().map(|s| s.name.as_str()).collect();
                return Err(Fault::new(format!("there is no service `{name}` to leave out"))
                    .hint(format!("services: {}", known.join(", "))));
            }
        }
    }
    let invocation = Invocation {
        files,
        directory: stack.layout.directory.clone(),
        profiles,
        left_out,
        project: resolved.project.clone(),
    };
    let same = |path: &str| fs::read(root.join(path)).ok() == fs::read(session.root.join(path)).ok();
    let mode_ok = fs::metadata(layout.env_path()).is_ok_and(|meta| meta.mode() & 0o077 == 0);
    // An unpacked bundle stands there already; a run that may have to put the old one back switches all the same.
    let unpacked = is_bundle && session.generations.current()?.is_some_and(|current| current.version != *order.version);
    let files_change = !same(&stack.layout.env) || !same(&stack.layout.version) || !mode_ok || unpacked;
    Ok(Staged { number, stack, invocation, resolved, env, report, files_change })
}

/// A release that has its compose files in another folder takes the settings there, and nothing else of the admin's.
fn refuse_what_cannot_move(session: &Session<'_>, order: &Order<'_>, stack: &Stack) -> Result<()> {
    let (from, to) = (&session.stack.layout, &stack.layout);
    if from.directory == to.directory {
        return Ok(());
    }
    let folder =
        |layout: &Layout| if layout.directory.is_empty() { "./".to_owned() } else { format!("{}/", layout.directory) };
    let fault = |what: String, hint: String| {
        let text =
            format!("{} as released has its compose files in {}, not in {}", order.version, folder(to), folder(from));
        Err(Fault::new(format!("{text}: {what}")).hint(hint))
    };
    let shell = |path: &Path| xr_model::shell(&path).to_string();
    let (link, there) = (session.root.join(&from.env_name), session.root.join(&to.env));
    if fs::symlink_metadata(&link).is_ok_and(|meta| meta.is_symlink()) {
        let hint = format!("make it a file: cp --remove-destination \"$(readlink -f {0})\" {0}", shell(&link));
        return fault(format!("{} is a link, and the settings move", from.env_name), hint);
    }
    // What a generation had there, and left, is ours.
    let left = |number: u32| fs::read(xr_session::root_of(session, number).join(&to.env)).ok() == fs::read(&there).ok();
    let is_theirs = || Result::Ok(!session.generations.all()?.iter().any(|generation| left(generation.number)));
    if has_moved(&from.env, &to.env) && fs::symlink_metadata(&there).is_ok() && is_theirs()? {
        let hint = format!("look at it, then: mv {0} {0}.away", shell(&there));
        return fault(format!("the settings move to {}, where there is a file", to.env), hint);
    }
    let Some(checkout) = &session.checkout else { return Ok(()) };
    let files: Vec<&str> = from.files.iter().map(String::as_str).collect();
    let known = checkout.ids(&checkout.head()?.commit, &files)?;
    match files.iter().find(|file| !known.contains_key(**file)) {
        Some(own) => fault(
            format!("{own}, which is yours, would not count there"),
            format!(
                "mv {0} {0}.away; after the update put it into {1}, then: xr install",
                shell(&session.root.join(own)),
                folder(to)
            ),
        ),
        None => Ok(()),
    }
}

/// `.xr/` is the admin's and xr's: a release that brings files there would speak in their names.
fn refuse_own_records(order: &Order<'_>, checkout: &Checkout, commit: &str) -> Result<()> {
    if checkout.ids(commit, &[".xr"])?.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{} as released: its tree has .xr, which holds this host's own settings and records",
        order.version
    ))
    .hint("the publisher must take it out of git: git rm -r --cached .xr"))
}

/// Adds a hint to inspect the released file: the error is not in the working tree.
fn as_released(session: &Session<'_>, order: &Order<'_>, stack: &Stack, staged: &Path, fault: Fault) -> Fault {
    let differs = |file: &&String| fs::read(staged.join(file)).ok() != fs::read(session.root.join(file)).ok();
    let files = stack.layout.files.iter().chain(&stack.layout.dev_files);
    match (order.commit, files.into_iter().find(differs)) {
        (Some(commit), Some(file)) => {
            let root = xr_model::shell(&session.root);
            let mended = format!(
                "git -C {root} show {commit}:{file}   # the publisher must mend it; xr update --to VERSION takes another"
            );
            // A setting that the new release demands is the admin's to give; compose's fault says how.
            let given = fault.hint.clone().filter(|_| xr_stack::missing_value(&fault.message).is_some());
            Fault { message: format!("{} as released: {}", order.version, fault.message), ..fault }
                .hint(given.unwrap_or(mended))
        }
        _ => fault,
    }
}

type Call = (Compose, Vec<String>, Vec<String>, Resolved);

/// Puts a file that a staged tree lacks there; whether there was one to put.
type Bring<'a> = &'a dyn Fn(&Path) -> Result<bool>;

fn resolve(stack: &Stack, staged: &Path, real: &Path, (env, mode): (&EnvFile, Mode), bring: Bring<'_>) -> Result<Call> {
    let layout = stack.layout.under(staged);
    let call = |files: Vec<String>| -> Result<Call> {
        let text: String = files.iter().filter_map(|file| fs::read_to_string(staged.join(file)).ok()).collect();
        let profiles = settings::profiles(&stack.manifest, env, &text);
        let compose = Compose::new(&layout, &files, &profiles);
        let resolved = resolve_with_more_files(&compose, stack, (staged, real), bring).map_err(|fault| Fault {
            message: fault.message.replace(&staged.display().to_string(), &real.display().to_string()),
            hint: fault.hint.map(|hint| hint.replace(&staged.display().to_string(), &real.display().to_string())),
            ..fault
        })?;
        Ok((compose, files, profiles, resolved))
    };
    let files = settings::compose_files(&layout, env, mode);
    if mode == Mode::Production || stack.manifest.compose.dev_files.is_some() || layout.dev_files.is_empty() {
        return call(files);
    }
    // A dev file is either complete in itself or lies over the production file; compose tells which.
    let alone = call(files.clone());
    let complete = |call: &Call| {
        call.3.json["services"]
            .as_object()
            .is_some_and(|all| all.values().all(|s| s.get("image").is_some() || s.get("build").is_some()))
    };
    match alone {
        Ok(resolved) if complete(&resolved) => Ok(resolved),
        _ => call(layout.files.iter().cloned().chain(files).collect()),
    }
}

/// How many files may be read besides those of compose's folder.
const MORE_FILES: usize = 100;

/// Compose reads files that stand elsewhere in the tree, and files of the admin's that git does not have: an include, an
/// `env_file` with secrets. It names the first that is not there, which is then brought.
fn resolve_with_more_files(
    compose: &Compose,
    stack: &Stack,
    (staged, real): (&Path, &Path),
    bring: Bring<'_>,
) -> Result<Resolved> {
    'more: for _ in 0..MORE_FILES {
        let fault = match compose.resolve(real, &stack.manifest) {
            Err(fault) => fault,
            resolved => return resolved,
        };
        for path in named_below(&fault.message, staged) {
            if bring(&path)? {
                continue 'more;
            }
        }
        return Err(fault);
    }
    compose.resolve(real, &stack.manifest)
}

/// An `env_file` that need not be there is passed over by compose without a word, so all are asked for. Whether one was
/// brought.
fn bring_optional(stack: &Stack, compose: &Compose, staged: &Path, bring: Bring<'_>) -> Result<bool> {
    let text = stack.layout.texts(staged);
    if !text.contains("env_file") || !text.contains("required") {
        return Ok(false);
    }
    let mut brought = false;
    for path in bundle_files::env_file_paths(&bundle_files::as_written(compose)?) {
        if let Ok(below) = path.strip_prefix(staged) {
            brought |= bring(below)?;
        }
    }
    Ok(brought)
}

/// The files outside of compose's folder that its files name; whether there were any.
fn bring_named(session: &Session<'_>, commit: &str, stack: &Stack, staged: &Path) -> Result<bool> {
    let mut brought = false;
    // One may name another.
    for _ in 0..MORE_FILES {
        let mut more = false;
        for file in stack.layout.further_files(staged) {
            more |= bring(session, Some(commit), staged, Path::new(&file))?;
        }
        if !more {
            break;
        }
        brought = true;
    }
    Ok(brought)
}

/// Puts a file that a staged tree lacks there, the release's own, else the admin's. What the publisher had and has no more is
/// gone, not the admin's.
fn bring(session: &Session<'_>, commit: Option<&str>, staged: &Path, path: &Path) -> Result<bool> {
    let (to, from) = (staged.join(path), session.root.join(path));
    let name = path.to_string_lossy();
    if name.is_empty() || fs::symlink_metadata(&to).is_ok() {
        return Ok(false);
    }
    if let (Some(commit), Some(checkout)) = (commit, &session.checkout) {
        checkout.stage(commit, &[&name], staged)?;
        if let Ok(target) = fs::read_link(&to) {
            // What a link of the publisher's leads to is brought as well, as long as that is in the tree.
            if let Some(target) = inside(&path.parent().unwrap_or(Path::new("")).join(target)) {
                bring(session, Some(commit), staged, Path::new(&target))?;
            }
            if leads_out(staged, &name) {
                fs::remove_file(&to).map_err(Fault::at(format!("cannot remove {}", to.display())))?;
            }
        }
        if to.exists() || !checkout.ids(&checkout.head()?.commit, &[&name])?.is_empty() {
            return Ok(to.exists());
        }
    }
    if !from.is_file() {
        return Ok(false);
    }
    copy(&from, &to).map(|()| true)
}

/// What a message may name below a folder: a path ends where the message says so, which it does in several ways.
fn named_below<'a>(message: &'a str, folder: &Path) -> impl Iterator<Item = PathBuf> + 'a {
    const ENDS: [&str; 7] = [": ", " not found", "\"", "'", "`", ",", "\n"];
    let folder = format!("{}/", folder.display());
    let begins: Vec<usize> = message.match_indices(&folder).map(|(at, found)| at + found.len()).collect();
    begins.into_iter().flat_map(move |begin| {
        let rest = &message[begin..];
        let ends = ENDS.iter().filter_map(|end| rest.find(end)).chain([rest.len()]);
        let mut paths: Vec<PathBuf> = ends.map(|end| PathBuf::from(&rest[..end])).collect();
        // Nothing leads out of the folder.
        paths.retain(|path| path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        paths
    })
}

/// What the admin added beside the publisher's files: compose overrides, files that compose is told of in `.env`, and a
/// manifest where the publisher has none.
fn copy_admins_own(session: &Session<'_>, staged: &Path) -> Result<()> {
    let layout = &session.stack.layout;
    let env = xr_session::parse_env(&layout.env_path())?;
    let named = env.map(|env| settings::compose_files(layout, &env, Mode::Production)).unwrap_or_default();
    let files: Vec<&str> = layout.files.iter().chain(&named).map(String::as_str).chain(["xr.toml"]).collect();
    // What the publisher had here and has no more is gone, not the admin's.
    let publishers = match &session.checkout {
        Some(checkout) => checkout.ids(&checkout.head()?.commit, &files)?,
        None => BTreeMap::new(),
    };
    for file in files {
        let (from, to) = (session.root.join(file), staged.join(file));
        if from.is_file() && !to.exists() && !publishers.contains_key(file) {
            copy(&from, &to)?;
        }
    }
    link_settings(session, staged)
}

/// The settings as they are: which files compose reads may stand there. Not where the release has moved its compose files.
fn copy_settings(layout: &Layout, staged: &Path) -> Result<()> {
    let to = staged.join(&layout.env);
    let has_place = to.parent().is_some_and(Path::is_dir);
    match fs::read(layout.env_path()) {
        Ok(bytes) if has_place && fs::symlink_metadata(&to).is_err() => {
            write_atomic(&to, &bytes, 0o600, Ownership::Keep)
        }
        _ => Ok(()),
    }
}

/// Settings behind a link of the admin's own are where they are in the staged tree too.
fn link_settings(session: &Session<'_>, staged: &Path) -> Result<()> {
    let layout = &session.stack.layout;
    let there = staged.join(&layout.env_name);
    if layout.env != layout.env_name
        && there.parent().is_some_and(Path::is_dir)
        && let Ok(target) = fs::read_link(session.root.join(&layout.env_name))
        && fs::symlink_metadata(&there).is_err()
    {
        symlink(target, &there).map_err(Fault::at(format!("cannot write {}", there.display())))?;
    }
    Ok(())
}

/// A bundle has no git to take files from: the compose folder's own files, VERSION and manifest are copied.
fn copy_tree_files(session: &Session<'_>, staged: &Path) -> Result<()> {
    const LARGEST: u64 = 1 << 20;
    let layout = &session.stack.layout;
    let folder = layout.directory_path();
    let entries = fs::read_dir(&folder).map_err(Fault::at(format!("cannot read {}", folder.display())))?;
    for entry in entries.filter_map(std::result::Result::ok) {
        let small_file = entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST);
        let settings = [layout.env_path(), session.root.join(&layout.env_name)].contains(&entry.path());
        if small_file && !settings {
            copy(&entry.path(), &staged.join(&layout.directory).join(entry.file_name()))?;
        }
    }
    let named = layout.files.iter().chain(&layout.dev_files).chain(&layout.template).map(String::as_str);
    for file in named.chain(["xr.toml", layout.version.as_str()]) {
        let (from, to) = (session.root.join(file), staged.join(file));
        if from.is_file() && !to.exists() {
            copy(&from, &to)?;
        }
    }
    link_settings(session, staged)
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::metadata(from).map_err(Fault::at(format!("cannot read {}", from.display())))?;
    let bytes = fs::read(from).map_err(Fault::at(format!("cannot read {}", from.display())))?;
    if let Some(parent) = to.parent() {
        create_private_dir(parent)?;
    }
    write_atomic(to, &bytes, meta.mode() & 0o777, Ownership::Keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_compose_misses_is_read_from_its_words() {
        let folder = Path::new("/srv/.xr/generations/2/files/shop");
        for (said, path) in [
            (
                "compose refuses x: env file /srv/.xr/generations/2/files/shop/app.env not found: stat /srv: no",
                "app.env",
            ),
            ("open /srv/.xr/generations/2/files/shop/common/base.yml: no such file or directory", "common/base.yml"),
            ("Failed to load \"/srv/.xr/generations/2/files/shop/a b/labels\"", "a b/labels"),
        ] {
            assert!(named_below(said, folder).any(|found| found == Path::new(path)), "{said}");
        }
        let out = "open /srv/.xr/generations/2/files/shop/../../../etc/passwd: denied";
        assert_eq!(named_below(out, folder).count(), 0);
    }
}
