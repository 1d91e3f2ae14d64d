//! A unit that ends, when the machine starts, a run that a power cut broke off.
//!
//! For [systemd](https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html) alone: on other machines the
//! next xr command does it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use xr_host::Cmd;
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result};

use crate::docker::Init;

const UNITS: &str = "/etc/systemd/system";

/// Sets the unit up for a stack, or leaves it as it is. Gives its name when it is new or changed; nothing without systemd.
///
/// # Errors
/// When the unit cannot be written or enabled, or would run as root what others may replace.
pub fn enable(project: &str, root: &Path, xr: &Path) -> Result<Option<String>> {
    if Init::detect() != Init::Systemd {
        return Ok(None);
    }
    if let Some(path) = changed_by_others(xr) {
        return Err(Fault::new(format!(
            "others than root may change {0}, and the unit would run xr as root: chown root {1} && chmod go-w {1}, or xr \
             elsewhere",
            path.display(),
            xr_model::shell(&path),
        )));
    }
    let (name, path) = unit(project);
    let engine = xr_host::chosen_engine()?;
    let text = text(project, root, xr, engine.as_ref().map(|engine| engine.host.as_str()));
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(None);
    }
    write_atomic(&path, text.as_bytes(), 0o644, Ownership::Keep)?;
    Cmd::new("systemctl").arg("daemon-reload").ok()?;
    Cmd::new("systemctl").args(["enable", &name]).ok()?;
    Ok(Some(name))
}

/// Removes the unit of a stack. Gives its name when there was one.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(project: &str) -> Result<Option<String>> {
    let (name, path) = unit(project);
    if !path.exists() {
        return Ok(None);
    }
    Cmd::new("systemctl").args(["disable", &name]).ok()?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Fault::new(format!("cannot remove {}", path.display())).because(error));
        }
        _ => {}
    }
    Cmd::new("systemctl").arg("daemon-reload").ok()?;
    Ok(Some(name))
}

/// The program itself or a folder above it, where others than root may put something else in its place.
fn changed_by_others(program: &Path) -> Option<&Path> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // `staff`, which Debian once gave /usr/local to, has nobody in it as a rule.
    let has_members = |gid: u32| {
        let is = |field: Option<&str>| field == Some(gid.to_string().as_str());
        let listed =
            |line: &str| is(line.split(':').nth(2)) && line.split(':').nth(3).is_some_and(|all| !all.is_empty());
        groups.lines().any(listed) || users.lines().any(|line| is(line.split(':').nth(3)))
    };
    program.ancestors().find(|path| {
        fs::metadata(path).is_ok_and(|meta| {
            let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
            let group = meta.mode() & 0o020 != 0 && meta.gid() != 0 && has_members(meta.gid());
            meta.uid() != 0 || (!sticky && (group || meta.mode() & 0o002 != 0))
        })
    })
}

fn unit(project: &str) -> (String, PathBuf) {
    let name = format!("xr-recover-{project}.service");
    let path = Path::new(UNITS).join(&name);
    (name, path)
}

fn text(project: &str, root: &Path, xr: &Path, engine: Option<&str>) -> String {
    let (xr, root) = (xr.display().to_string(), root.display().to_string());
    let environment = engine.map(|host| format!("Environment={}\n", quoted(&format!("DOCKER_HOST={host}"))));
    format!(
        "# Written by xr install, removed by xr uninstall.\n\
         [Unit]\n\
         Description=End a run of xr that was broken off ({project})\n\
         Documentation=man:xr-recover(1)\n\
         Wants=docker.service\n\
         After=docker.service\n\
         RequiresMountsFor={} {}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         {}ExecStart={} --stack {} --wait 10m recover\n\
         TimeoutStartSec=30min\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        quoted(&xr),
        quoted(&root),
        environment.unwrap_or_default(),
        quoted(&xr).replace('$', "$$"),
        quoted(&root).replace('$', "$$"),
    )
}

/// A word as [systemd reads it](https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html#Quoting); in a
/// command line a `$` is doubled besides.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "makes the folder that is examined")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_stack_in_an_odd_folder_is_named_as_systemd_reads_it() {
        let unit = text("orbit", Path::new(r#"/srv/my "50 % $tack""#), Path::new("/usr/local/bin/xr"), None);
        assert!(unit.contains(r#"ExecStart="/usr/local/bin/xr" --stack "/srv/my \"50 %% $$tack\"" --wait"#), "{unit}");
        assert!(unit.contains(r#"MountsFor="/usr/local/bin/xr" "/srv/my \"50 %% $tack\"""#), "{unit}");
    }

    #[test]
    fn a_program_that_others_may_replace_is_told_from_one_that_they_may_not() {
        assert_eq!(changed_by_others(Path::new("/usr/bin/env")), None);
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("bin/xr");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::copy("/bin/true", &program).unwrap();
        fs::set_permissions(dir.path().join("bin"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(changed_by_others(&program).is_some());
    }

    #[test]
    fn systemd_accepts_the_unit() {
        if crate::docker::find_program("systemd-analyze").is_none() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xr-recover-orbit.service");
        // It looks for the program and for the units that are wanted.
        let unit = text("orbit", Path::new("/srv/my stack"), Path::new("/bin/true"), Some("unix:///run/docker.sock"));
        let unit = unit.replace("docker.service", "basic.target").replace("man:xr-recover(1)", "man:true(1)");
        write_atomic(&path, unit.as_bytes(), 0o644, Ownership::Keep).unwrap();
        let verify = Cmd::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).env("LC_ALL", "C");
        let output = verify.run().unwrap();
        let said: Vec<String> =
            output.error_text().lines().filter(|line| line.contains("xr-recover")).map(str::to_owned).collect();
        assert!(output.code == 0 && said.is_empty(), "{said:?} {}", output.error_text());
    }
}
