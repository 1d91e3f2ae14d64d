//! The tree's own files: how they stood before a run, putting a generation's files in place, and what changed.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde::{Deserialize, Serialize};
use xr_env_writer::EnvFile;
use xr_journal::{Ownership, create_private_dir, write_atomic};
use xr_model::{Action, Fault, Generation, Level, Plan, Result, stays_inside};
use xr_session::Session;

use crate::{bundle, settings::EnvReport};

/// How the tree stood before a run; kept under `.xr/runs/<run>/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Before {
    /// The commit, for a git checkout.
    pub commit: Option<String>,
    /// The branch it was on.
    pub branch: Option<String>,
    /// Whether there was an `.env`.
    pub had_env: bool,
    /// Secrets that a first install made: they stay when it is taken back, since a volume may know them by then.
    #[serde(default)]
    pub made: Vec<String>,
    /// Whether there was a VERSION.
    pub had_version: bool,
    /// Whether git's index was locked; by whom, xr does not know.
    #[serde(default)]
    pub git_was_locked: bool,
    /// The generation whose files stood there.
    pub generation: Option<u32>,
    /// Where `.env` and VERSION stood, from the root.
    pub env: String,
    /// See `env`.
    pub version: String,
    /// Where the run puts `.env` when its generation has compose's files in another folder.
    #[serde(default)]
    pub moved_env: Option<String>,
    /// Whether a file stood there, and is kept.
    #[serde(default)]
    pub had_moved_env: bool,
}

/// Saves how the tree stands before a run to generation `number`.
pub fn save(session: &Session<'_>, run: &str, number: u32, generated: &[String]) -> Result<()> {
    let dir = session.home.run(run);
    create_private_dir(&dir)?;
    let layout = &session.stack.layout;
    let keep = |from: &Path, name: &str| -> Result<bool> {
        if !from.exists() {
            return Ok(false);
        }
        let bytes = fs::read(from).map_err(Fault::at(format!("cannot read {}", from.display())))?;
        write_atomic(&dir.join(name), &bytes, 0o600, Ownership::Keep)?;
        Ok(true)
    };
    let head = session.checkout.as_ref().map(xr_version_resolver::Checkout::head).transpose()?;
    let (commit, branch) = head.map_or((None, None), |head| (Some(head.commit), head.branch));
    let moved_env = xr_stack::load(&xr_session::root_of(session, number)).ok().map(|stack| stack.layout.env);
    let moved_env = moved_env.filter(|to| has_moved(&layout.env, to));
    let had_moved_env = match &moved_env {
        Some(to) => keep(&session.root.join(to), "moved-env")?,
        None => false,
    };
    let before = Before {
        moved_env,
        had_moved_env,
        commit,
        branch,
        had_env: keep(&layout.env_path(), "env")?,
        made: if session.generations.current()?.is_none() { generated.to_vec() } else { Vec::new() },
        had_version: keep(&layout.version_path(), "VERSION")?,
        git_was_locked: session.checkout.as_ref().is_some_and(xr_version_resolver::Checkout::is_locked),
        generation: session.generations.current()?.map(|g| g.number),
        env: layout.env.clone(),
        version: layout.version.clone(),
    };
    let json = serde_json::to_vec_pretty(&before).map_err(Fault::at("cannot write how the tree stood"))?;
    write_atomic(&dir.join("before.json"), &json, 0o600, Ownership::Keep)
}

/// How the tree stood before a run.
fn read(session: &Session<'_>, run: &str) -> Result<Before> {
    let path = session.home.run(run).join("before.json");
    let bytes = fs::read(&path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
    let before: Before = serde_json::from_slice(&bytes).map_err(Fault::at(format!("{} is damaged", path.display())))?;
    if let Some(wrong) = [&before.env, &before.version].into_iter().find(|path| !stays_inside(path)) {
        return Err(Fault::new(format!("{}: `{wrong}` leads out of the stack: not what xr wrote", path.display())));
    }
    Ok(before)
}

/// Whether there was a VERSION before a run; none when nothing is kept of it.
pub fn had_version(session: &Session<'_>, run: &str) -> Result<Option<bool>> {
    if !session.home.run(run).join("before.json").exists() {
        return Ok(None);
    }
    read(session, run).map(|before| Some(before.had_version))
}

/// Puts a generation's files in place: the tree at its commit, VERSION and `.env` as staged.
pub fn switch(session: &Session<'_>, run: &str, number: u32, commit: Option<&str>) -> Result<()> {
    let staged = xr_session::root_of(session, number);
    let stack = xr_stack::load(&staged)?;
    let layout = &stack.layout;
    match (&session.checkout, commit) {
        (Some(checkout), Some(commit)) => {
            let head = checkout.head()?;
            if head.commit != commit {
                checkout.switch(commit, head.branch.as_deref(), &layout.managed())?;
            }
        }
        _ => bundle::switch(session, run, number, layout.managed())?,
    }
    let version = layout.version_path();
    let target = session.root.join(&layout.version);
    let bytes = fs::read(&version).map_err(Fault::at(format!("cannot read {}", version.display())))?;
    if fs::read(&target).ok().as_deref() != Some(&bytes) {
        write_atomic(&target, &bytes, 0o644, Ownership::Keep)?;
    }
    let env = fs::read(layout.env_path()).map_err(Fault::at(format!("cannot read {}", layout.env_path().display())))?;
    put_private(&session.root.join(&layout.env), &env)?;
    // A release has moved its compose files: the settings move with them.
    let before = read(session, run)?;
    if before.moved_env.is_some() {
        remove_alone(&session.root.join(&before.env))?;
    }
    crate::host_needs::provide(session, &stack)?;
    session.sync()
}

/// Writes a file that only its owner may read. One that stands there as it should is not written again: it may be read-only, or
/// mounted.
fn put_private(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        return write_atomic(path, bytes, 0o600, Ownership::Keep);
    }
    let mode = fs::metadata(path).map_err(Fault::at(format!("cannot read {}", path.display())))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))
        .map_err(Fault::at(format!("cannot make {} private", path.display())))
}

/// Puts the tree back as it stood; that of a bundle, which the admin had unpacked before the run, as the present generation
/// has it. On a first install the `.env` stays: its secrets may already be in a volume.
pub fn restore(session: &Session<'_>, run: &str, plan: &Plan) -> Result<()> {
    let before = read(session, run)?;
    let dir = session.home.run(run);
    let (env, version) = (session.root.join(&before.env), session.root.join(&before.version));
    match (&session.checkout, &before.commit) {
        (Some(checkout), Some(commit)) => {
            // Otherwise a git that the run had started has left it.
            if !before.git_was_locked {
                checkout.remove_lock()?;
            }
            let there = checkout.head()?.commit == *commit;
            let left = plan.steps().find_map(|step| match &step.action {
                Action::SwitchFiles { commit, .. } => commit.as_deref(),
                _ => None,
            });
            match checkout.switch_back(commit, before.branch.as_deref(), &[&before.version, &before.env], left) {
                // A git that was killed may have written files before it moved HEAD; where none did, an admin's edit since
                // then is no reason to stop.
                Err(fault) if there => session.say(Level::Warning, fault.chain()),
                switched => switched?,
            }
        }
        _ => {
            if let Some(generation) = before.generation {
                bundle::put_back(session, run, generation, plan, [&before.version, &before.env])?;
            }
        }
    }
    // The VERSION that stood there is the unpacked bundle's; of its files none stand there any more.
    let version_is_back = session.checkout.is_none() && before.generation.is_some();
    let saved = |name: &str| {
        let path = dir.join(name);
        fs::read(&path).map_err(Fault::at(format!("cannot read {}", path.display())))
    };
    // What stands there as it did is not written again: the disk may be full, and that be the reason for going back.
    let put = |path: &Path, bytes: &[u8], mode| match fs::read(path) {
        Ok(now) if now == bytes => Ok(()),
        _ => write_atomic(path, bytes, mode, Ownership::Keep),
    };
    if before.had_version && !version_is_back {
        put(&version, &saved("VERSION")?, 0o644)?;
    }
    if before.had_env {
        put(&env, &with_secrets(&saved("env")?, &env, &before.made)?, 0o600)?;
    }
    if let Some(moved) = before.moved_env.map(|moved| session.root.join(moved)) {
        match before.had_moved_env {
            true => put(&moved, &saved("moved-env")?, 0o600)?,
            false => remove_made(&moved)?,
        }
    }
    Ok(())
}

/// Whether the settings stand in another folder now, under the name that they had: a link of the admin's leads to another name.
pub fn has_moved(from: &str, to: &str) -> bool {
    from != to && Path::new(from).file_name() == Path::new(to).file_name()
}

/// Removes settings that the run has put where nothing stood, and their folder where that is empty then.
fn remove_made(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Fault::new(format!("cannot remove {}", path.display())).because(error));
        }
        _ => {}
    }
    let _ = path.parent().map(fs::remove_dir);
    Ok(())
}

/// Removes the settings from a folder that compose's files have left, and the folder. Where more stands in it, compose's files of
/// the other folder may read them still, and they stay.
fn remove_alone(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    if fs::read_dir(folder).into_iter().flatten().count() != 1 || !path.is_file() {
        return Ok(());
    }
    fs::remove_file(path).map_err(Fault::at(format!("cannot remove {}", path.display())))?;
    fs::remove_dir(folder).map_err(Fault::at(format!("cannot remove {}", folder.display())))
}

/// The `.env` that stood there, with the secrets that were made since.
fn with_secrets(old: &[u8], now: &Path, made: &[String]) -> Result<Vec<u8>> {
    let wrong = || format!("cannot keep the secrets that were made in {}", now.display());
    let Some(now) = xr_session::parse_env(now)?.filter(|_| !made.is_empty()) else { return Ok(old.to_vec()) };
    let mut old = EnvFile::parse(old).map_err(Fault::at(wrong()))?;
    for key in made {
        if let Some(value) = now.get(key) {
            old.set(key, &value.text).map_err(Fault::at(wrong()))?;
        }
    }
    Ok(old.to_bytes())
}

/// What a generation changes against the one before, a line each; keys of `.env`, never values.
pub fn changes(old: Option<&Generation>, new: &Generation, report: &EnvReport) -> Vec<String> {
    let mut lines = Vec::new();
    match old {
        None => lines.push(format!("version {}", new.version)),
        Some(old) if old.version.as_str() != new.version.as_str() => {
            lines.push(format!("version {} → {}", old.version, new.version))
        }
        Some(_) => {}
    }
    let old_services = old.map(Generation::specs).unwrap_or_default();
    for service in &new.services {
        let pinned = |g: &Generation| {
            g.images.iter().find(|i| i.services.contains(&service.name)).and_then(|i| i.digest.clone())
        };
        match old_services.get(&service.name) {
            None if old.is_some() => lines.push(format!("service {} is new", service.name)),
            Some(_) => {
                let (was, is) = (old.and_then(pinned), pinned(new));
                if let (Some(was), Some(is)) = (was, is)
                    && was != is
                {
                    lines.push(format!("{}: image {} → {}", service.name, was.short(), is.short()));
                }
                let before = old.and_then(|g| g.services.iter().find(|s| s.name == service.name));
                if before.is_some_and(|before| before.content != service.content) {
                    lines.push(format!("{}: files that it mounts", service.name));
                }
                let written = before.and_then(|before| before.variables.as_ref()).zip(service.variables.as_ref());
                if written.is_some_and(|(was, is)| was != is) {
                    lines.push(format!("{}: settings that compose writes into it", service.name));
                }
            }
            None => {}
        }
    }
    for name in old_services.keys().filter(|name| !new.services.iter().any(|s| s.name == **name)) {
        lines.push(format!("service {name} is gone"));
    }
    let mut keys = |what: &str, keys: &[String]| {
        if !keys.is_empty() {
            lines.push(format!(".env: {what} {}", keys.join(", ")));
        }
    };
    keys("new", &report.added);
    keys("generated", &report.generated);
    keys("new default for", &report.defaults_changed);
    lines
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the file that is read")]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_keeps_the_secrets_that_were_made_and_nothing_else_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let now = dir.path().join(".env");
        fs::write(&now, "# mine\nIMAGE_TAG=v1.2.0\nDB_PASSWORD=0a1b\nNEW=1\n").unwrap();
        let old = b"# mine\nIMAGE_TAG=v1.0.0\nDB_PASSWORD=change-me\n";
        let back = |made: &[&str]| {
            let made: Vec<String> = made.iter().map(|key| (*key).to_owned()).collect();
            String::from_utf8(with_secrets(old, &now, &made).unwrap()).unwrap()
        };
        assert_eq!(back(&["DB_PASSWORD"]), "# mine\nIMAGE_TAG=v1.0.0\nDB_PASSWORD=0a1b\n");
        assert_eq!(back(&[]).as_bytes(), old);
    }
}
