//! The command line where there is no stack, no engine and no lab: help, usage, refusals.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test writes its own files and starts xr")]

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// `xr` with nothing around it: no HOME, no TERM, no engine.
fn xr(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xr"));
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, argv: &[&str]) -> (i32, String, String) {
    told(xr(dir).args(argv).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr));
    assert!(!told.2.contains("panicked"), "{told:?}");
    told
}

/// A stack whose compose file is whole.
fn stack() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("docker")).unwrap();
    fs::write(dir.path().join("VERSION"), "v1.0.0\n").unwrap();
    fs::write(dir.path().join("docker/docker-compose.yml"), "services:\n  web:\n    image: web:${IMAGE_TAG}\n")
        .unwrap();
    dir
}

#[test]
fn help_and_version_need_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for argv in [
        &["--help"][..],
        &["--version"],
        &["help", "update"],
        &["install", "--help"],
        &["update", "-h"],
        &["rollback", "--help"],
    ] {
        let (code, out, err) = run(dir.path(), argv);
        assert_eq!((code, err.as_str()), (0, ""), "{argv:?}");
        assert!(out.starts_with("xr ") || out.contains("Usage: xr"), "{argv:?}: {out}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "help left something behind");
}

#[test]
fn wrong_usage_is_two_and_says_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (argv, part) in [
        (&[][..], "Usage: xr"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["update", "--nope"], "unexpected argument '--nope'"),
        (&["update", "--to"], "a value is required for '--to <V>'"),
        (&["update", "--to", "banana"], "`banana` is not a version such as v1.2.3"),
        (&["update", "--progress", "fancy"], "possible values: auto, tty, plain, json, quiet"),
        (&["update", "-q", "-v"], "cannot be used with"),
        (&["rollback", "--to", "v1", "--generation", "1"], "cannot be used with"),
        (&["install", "--db-port", "1"], "--db-host"),
        (&["--stack", "/nonexistent", "update"], "--stack /nonexistent: no such folder"),
        (&["--stack", "/proc/self/cmdline", "update"], "not a folder"),
    ] {
        let (code, out, err) = run(dir.path(), argv);
        assert_eq!((code, out.as_str()), (2, ""), "{argv:?}: {err}");
        assert!(err.contains(part), "{argv:?}: {err}");
    }
}

#[test]
fn arguments_that_are_no_text_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let odd = OsStr::from_bytes(b"\xff");
    for argv in [&[odd][..], &["update".as_ref(), "--to".as_ref(), odd], &["--stack".as_ref(), odd, "update".as_ref()]]
    {
        let (code, _, err) = told(xr(dir.path()).args(argv).output().unwrap());
        assert_eq!(code, 2, "{argv:?}: {err}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

#[test]
fn without_a_stack_the_hint_names_the_option() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["install", "update", "rollback"] {
        let (code, out, err) = run(dir.path(), &[command, "--yes"]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("there is no stack in ") && err.contains("hint: xr --stack DIR"), "{err}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_broken_manifest_is_pointed_at_in_words_and_in_json() {
    let dir = stack();
    fs::write(dir.path().join("xr.toml"), "[version]\nkee = \"x\"\n").unwrap();
    for command in ["install", "update", "rollback"] {
        let (code, _, err) = run(dir.path(), &[command, "--yes"]);
        assert_eq!(code, 1, "{err}");
        assert!(
            err.contains("xr.toml:2:1: unknown field `kee`") && err.contains("\n    kee = \"x\"\n    ^\nhint: "),
            "{err}"
        );
        let (code, out, err) = run(dir.path(), &[command, "--yes", "--json"]);
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, json["exit_code"].as_i64(), err.as_str()), (1, Some(1), ""), "{out}");
        assert!(json["error"].as_str().unwrap().contains("xr.toml:2:1:") && json["hint"].is_string(), "{out}");
    }
    // A manifest of one endless line is shown in part.
    fs::write(dir.path().join("xr.toml"), "a".repeat(1 << 20)).unwrap();
    let (code, _, err) = run(dir.path(), &["update"]);
    assert!(code == 1 && err.len() < 1000 && err.contains("xr.toml:1:"), "{code}, {} bytes", err.len());
}

#[test]
fn a_dead_engine_is_named_with_its_address() {
    let dir = stack();
    for command in ["install", "update", "rollback"] {
        let (code, _, err) = run(dir.path(), &[command, "--yes"]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("Docker") && err.contains("hint: "), "{err}");
        assert!(!dir.path().join(".xr/current").exists() && !dir.path().join("docker/.env").exists());
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for argv in [&["--help"][..], &["--version"], &["update", "--json"], &["frobnicate"]] {
        let (code, ..) = told(xr(dir.path()).args(argv).stdout(full()).stderr(full()).output().unwrap());
        assert!(code <= 2, "{argv:?}: {code}");
        let mut child = xr(dir.path()).args(argv).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().code().is_some_and(|code| code <= 2), "{argv:?}");
    }
}

#[test]
fn an_answer_that_is_lost_is_an_error_and_a_change_that_is_made_is_none() {
    let dir = stack();
    fs::write(dir.path().join("docker/.env"), "IMAGE_TAG=v1\nA=1\n").unwrap();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for argv in [
        &["--version"][..],
        &["env", "get", "A"],
        &["env", "get", "A", "--json"],
        &["env", "list"],
        &["history", "--json"],
        &["completions", "bash"],
        &["init", "--print"],
    ] {
        let (code, _, err) = told(xr(dir.path()).args(argv).stdout(full()).output().unwrap());
        assert_eq!(code, 1, "{argv:?}: {err}");
        assert!(err.contains("error: cannot write the output: No space left"), "{argv:?}: {err}");
    }
    let (code, _, err) = told(xr(dir.path()).args(["env", "set", "A=2"]).stdout(full()).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn listed_settings_show_no_secret_whatever_its_name_or_shape() {
    let dir = stack();
    fs::write(dir.path().join("xr.toml"), "[[secrets]]\nkey = \"ODD\"\nlength = 32\n").unwrap();
    fs::write(
        dir.path().join("docker/.env"),
        "IMAGE_TAG=v1\nDATABASE_URL=postgres://u:hunter2@h/db\nSENTRY_DSN=https://hunter2@x/1\nPW=hunter2\nREDIS_AUTH=hunter2\n\
         JWT=hunter2\nENCRYPTION_SALT=hunter2\nPWD_DB=hunter2\nAWS_ACCESS_KEY_ID=hunter2\nODD=hunter2\n\
         PEM=\"-----BEGIN KEY-----\nhunter2\n\"\n",
    )
    .unwrap();
    for argv in [&["env", "list"][..], &["env", "list", "--json"]] {
        let (code, out, err) = run(dir.path(), argv);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("v1") && out.contains("PEM") && !out.contains("hunter2"), "{out}");
    }
    assert_eq!(run(dir.path(), &["env", "list", "--show-secrets"]).1.matches("hunter2").count(), 10);
}
