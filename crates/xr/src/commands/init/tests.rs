//! What is written can be read again, for products of different shapes.

use std::{fs, path::Path};

use xr_stack::Manifest;

use super::describe;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(&path, text);
    }
    dir
}

fn put(path: &Path, text: &str) {
    xr_journal::write_atomic(path, text.as_bytes(), 0o644, xr_journal::Ownership::Keep).unwrap();
}

const COMPOSE: &str =
    "services:\n  db:\n    image: postgres:15\n    profiles: [local]\n  web:\n    image: acme/web:${APP_VERSION:?}\n";
const TEMPLATE: &str =
    "APP_VERSION=\nDB_HOST=db\nDB_PORT=5432\nDB_USER=u\nDB_PASSWORD=change-me\nDB_NAME=n\nMAIL_TOKEN=\n";

#[test]
fn a_product_in_a_docker_folder_is_described_and_loads_again() {
    let dir =
        tree(&[("VERSION", "v1.0.0\n"), ("docker/docker-compose.yml", COMPOSE), ("docker/.env.example", TEMPLATE)]);
    let (text, missing) = describe(dir.path()).unwrap();
    put(&dir.path().join("xr.toml"), &text);
    let stack = xr_stack::load(dir.path()).unwrap_or_else(|fault| panic!("{}\n{text}", fault.chain()));
    assert_eq!(stack.manifest.version.key, "APP_VERSION");
    assert_eq!(stack.layout.template.as_deref(), Some("docker/.env.example"));
    let profile = &stack.manifest.profiles[0];
    assert_eq!((profile.name.as_str(), profile.key.as_str()), ("local", "DB_HOST"));
    assert_eq!(stack.manifest.database.as_ref().unwrap().local, ["", "db", "localhost", "127.0.0.1"]);
    let secrets: Vec<_> = stack.manifest.secrets.iter().map(|s| s.key.as_str()).collect();
    assert_eq!(secrets, ["DB_PASSWORD"]);
    assert!(missing.iter().all(|what| what.contains("git")), "{missing:?}");
}

#[test]
fn a_bare_project_at_the_root_is_told_what_it_lacks() {
    let dir = tree(&[("compose.yaml", "services:\n  web:\n    image: nginx\n")]);
    let (text, missing) = describe(dir.path()).unwrap();
    put(&dir.path().join("xr.toml"), &text);
    let stack = xr_stack::load(dir.path()).unwrap_or_else(|fault| panic!("{}\n{text}", fault.chain()));
    assert_eq!((stack.layout.env.as_str(), stack.manifest.version.key.as_str()), (".env", "IMAGE_TAG"));
    assert!(missing[0].starts_with("VERSION:") && missing[1].contains("IMAGE_TAG"), "{missing:?}");
}

#[test]
fn a_preset_is_named_and_not_overruled() {
    let compose = "services:\n  server:\n    image: acme/x-server:${IMAGE_TAG:?}\n  agent:\n    image: acme/x-agent:${IMAGE_TAG:?}\n  postgres:\n    image: postgres:15\n    profiles: [local-db]\n";
    let dir =
        tree(&[("VERSION", "v1.0.0\n"), ("docker/docker-compose.yml", compose), ("docker/.env.example", TEMPLATE)]);
    let before = xr_stack::load(dir.path()).unwrap();
    let (text, _) = describe(dir.path()).unwrap();
    put(&dir.path().join("xr.toml"), &text);
    let after = xr_stack::load(dir.path()).unwrap_or_else(|fault| panic!("{}\n{text}", fault.chain()));
    assert_eq!((before.preset.as_deref(), &after.preset), (Some("worker-stack"), &before.preset));
    assert_eq!(after.manifest.secrets.len(), before.manifest.secrets.len());
    assert_eq!(after.manifest.hooks.len(), before.manifest.hooks.len());
}

#[test]
fn every_suggestion_is_valid_once_its_mark_is_taken_away() {
    let dir = tree(&[("docker-compose.yml", COMPOSE), (".env.example", TEMPLATE)]);
    let (text, _) = describe(dir.path()).unwrap();
    let taken: Vec<&str> =
        text.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)).collect();
    toml::from_str::<Manifest>(&taken.join("\n")).unwrap_or_else(|error| panic!("{error}\n{}", taken.join("\n")));
}

#[test]
fn every_written_key_has_its_reason_above_it() {
    let dir = tree(&[("docker-compose.yml", COMPOSE), (".env.example", TEMPLATE)]);
    let (text, _) = describe(dir.path()).unwrap();
    for block in text.split("\n\n") {
        assert!(block.trim_start().starts_with("# "), "{block}");
    }
}
