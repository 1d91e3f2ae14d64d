//! Registry mirrors in `/etc/docker/daemon.json`, with everything else in it kept.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use xr_host::Cmd;
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result};

use super::{Init, readiness::engine_answers};

const FILE: &str = "/etc/docker/daemon.json";
const KEY: &str = "registry-mirrors";
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds registry mirrors to the engine's settings; `false` when they were all there. A running engine takes them up
/// without being restarted, so no container stops. The old file is kept as `daemon.json.before-xr`.
///
/// # Errors
/// When a mirror is no URL the engine accepts, the file is no JSON object, or the engine does not take them up.
pub fn set_registry_mirrors(mirrors: &[String], tell: &dyn Fn(&str)) -> Result<bool> {
    if !write(Path::new(FILE), mirrors)? {
        return Ok(false);
    }
    tell(&format!("{FILE}: registry mirrors added"));
    if engine_answers() {
        reload(mirrors)?;
        tell("the engine has taken them up");
    }
    Ok(true)
}

/// Is there a mirror yet to be added?
pub(super) fn pending(mirrors: &[String]) -> Result<bool> {
    let path = Path::new(FILE);
    Ok(merge(path, read(path)?.as_deref(), mirrors)?.is_some())
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::new(format!("cannot read {}", path.display())).because(error)),
    }
}

/// Brings the file up to date; `false` when it was.
fn write(path: &Path, mirrors: &[String]) -> Result<bool> {
    let old = read(path)?;
    let Some(new) = merge(path, old.as_deref(), mirrors)? else { return Ok(false) };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Fault::at(format!("cannot make the folder {}", parent.display())))?;
    }
    // It may hold a proxy's password: nobody else may read it who could not before.
    let mode = fs::metadata(path).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
    if let Some(old) = old {
        write_atomic(&path.with_extension("json.before-xr"), old.as_bytes(), mode, Ownership::Keep)?;
    }
    write_atomic(path, new.as_bytes(), mode, Ownership::Keep)?;
    Ok(true)
}

/// The new text, or `None` when nothing is to be added. Keys keep their order, mirrors that were there come first.
fn merge(path: &Path, old: Option<&str>, mirrors: &[String]) -> Result<Option<String>> {
    mirrors.iter().try_for_each(|mirror| accept(mirror))?;
    let invalid = |what: String, line: usize| {
        Fault::new(format!("{}:{line}: {what}", path.display()))
            .hint(format!("python3 -m json.tool {}", xr_model::shell(&path)))
    };
    let mut settings: Map<String, Value> = match old.map(str::trim) {
        None | Some("") => Map::new(),
        Some(_) => {
            // Untrimmed, so that the line is the file's.
            let value: Value = serde_json::from_str(old.unwrap_or_default())
                .map_err(|error| invalid(format!("not valid JSON: {error}"), error.line()))?;
            value.as_object().cloned().ok_or_else(|| invalid("not a JSON object".to_owned(), 1))?
        }
    };
    let list = settings.entry(KEY).or_insert_with(|| Value::Array(Vec::new()));
    let Some(list) = list.as_array_mut() else {
        return Err(invalid(format!("{KEY} is not a list"), 1));
    };
    let before = list.len();
    for mirror in mirrors {
        let same =
            |one: &Value| one.as_str().is_some_and(|one| one.trim_end_matches('/') == mirror.trim_end_matches('/'));
        if !list.iter().any(same) {
            list.push(Value::String(mirror.clone()));
        }
    }
    if list.len() == before {
        return Ok(None);
    }
    let text = serde_json::to_string_pretty(&settings).map_err(Fault::at("cannot write JSON"))?;
    Ok(Some(text + "\n"))
}

/// The engine refuses to start at all with a mirror it cannot read, so none reaches the file: scheme and host, no path.
fn accept(mirror: &str) -> Result<()> {
    let host = mirror
        .strip_prefix("https://")
        .or_else(|| mirror.strip_prefix("http://"))
        .map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/?#@\"\\".contains(c)) => {
            Ok(())
        }
        _ => Err(Fault::new(format!("{mirror:?} is no registry mirror: scheme and host are wanted, without a path"))
            .hint("for example https://mirror.example.org")),
    }
}

fn reload(mirrors: &[String]) -> Result<()> {
    let init = Init::detect();
    let fault = || {
        Fault::new(format!("the Docker engine did not take up the registry mirrors in {FILE}"))
            .hint(init.restart_hint())
    };
    let cmd = match init {
        Init::Systemd => Cmd::new("systemctl").args(["reload", "docker"]),
        _ => Cmd::new("sh").args(["-c", "kill -HUP \"$(cat /var/run/docker.pid)\""]),
    };
    cmd.ok().map_err(|error| fault().because(error))?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let known = Cmd::new("docker").args(["info", "--format", "{{json .RegistryConfig.Mirrors}}"]).run()?.text();
        if mirrors.iter().all(|mirror| known.contains(mirror.trim_end_matches('/'))) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Err(fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(old: Option<&str>, mirrors: &[&str]) -> Result<Option<String>> {
        let mirrors: Vec<String> = mirrors.iter().map(|mirror| (*mirror).to_owned()).collect();
        merge(Path::new("/etc/docker/daemon.json"), old, &mirrors)
    }

    #[test]
    fn other_settings_and_their_order_survive() {
        let old =
            r#"{"log-driver":"local","registry-mirrors":["https://a.example/"],"data-root":"/big","dns":["1.1.1.1"]}"#;
        let new = merged(Some(old), &["https://a.example", "https://b.example"]).unwrap().unwrap();
        let value: Value = serde_json::from_str(&new).unwrap();
        assert_eq!(value[KEY], serde_json::json!(["https://a.example/", "https://b.example"]));
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["log-driver", KEY, "data-root", "dns"]);
    }

    #[test]
    fn a_missing_or_empty_file_becomes_one_with_the_mirrors() {
        for old in [None, Some(""), Some(" \n")] {
            assert!(merged(old, &["http://127.0.0.1:5000"]).unwrap().unwrap().contains("127.0.0.1:5000"));
        }
    }

    #[test]
    fn nothing_new_writes_nothing() {
        assert_eq!(
            merged(Some(r#"{"registry-mirrors":["https://a.example"]}"#), &["https://a.example/"]).unwrap(),
            None
        );
        assert_eq!(merged(None, &[]).unwrap(), None);
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        for (old, place) in [
            ("{\n  \"dns\": [\n  \"a\",\n}", "daemon.json:4:"),
            ("\n\n{oops", "daemon.json:3:"),
            ("[]", "not a JSON object"),
            (r#"{"registry-mirrors":"x"}"#, "not a list"),
        ] {
            let message = merged(Some(old), &["https://a.example"]).unwrap_err().message;
            assert!(message.contains(place), "{message}");
        }
    }

    #[test]
    fn a_mirror_the_engine_would_not_start_with_is_refused() {
        for mirror in [
            "mirror.example",
            "https://",
            "https://m.example/v2",
            "ftp://m.example",
            "https://u@m.example",
            "https://m .example",
        ] {
            assert!(merged(None, &[mirror]).unwrap_err().message.contains("registry mirror"), "{mirror}");
        }
    }

    #[test]
    fn the_old_file_is_kept_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker/daemon.json");
        let mirrors = ["https://a.example".to_owned()];
        assert!(write(&path, &mirrors).unwrap());
        assert!(!write(&path, &mirrors).unwrap());
        let first = fs::read_to_string(&path).unwrap();
        assert!(write(&path, &["https://b.example".to_owned()]).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("docker/daemon.json.before-xr")).unwrap(), first);
    }
}
