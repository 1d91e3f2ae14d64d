//! Whose release it is, is known before anything moves: by keys that were there before the release.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use minisign::KeyPair;
use serde_json::Value;
use sha2::{Digest, Sha256};
use xr_lab::SigningKey;

use crate::support::{Done, QUICK, Setup, Stack};

const TRUST: &str = "[trust]\nrequired = true\nkeys = [\"keys/release\"]\n";

/// What the publisher has in his tree from now on: the release, and the key for what comes after it.
fn write(stack: &Stack, version: &str, public: &str, images: &str) -> Result<()> {
    let work = stack.remote.work();
    if version != "v1.0.0" {
        stack.remote.release(version)?;
    }
    std::fs::create_dir_all(work.join("keys"))?;
    std::fs::write(work.join("keys/release"), public)?;
    let also = if images.is_empty() { "" } else { ", \"keys/images\"" };
    std::fs::write(work.join("keys/images"), images)?;
    std::fs::write(work.join("xr.toml"), format!("{QUICK}{}", TRUST.replace("\"]", &format!("\"{also}]"))))?;
    stack.remote.commit("build: the key of what comes next")
}

/// Tags what is written.
fn tag(stack: &Stack, version: &str, key: &SigningKey) -> Result<()> {
    stack.remote.in_work(&key.argv(&["tag", "--sign", "--force", "-m", version, version]))?;
    stack.remote.push()
}

fn site(stack: &Stack, trust: &str) -> Result<()> {
    std::fs::write(stack.root.join(".xr/site.toml"), trust).context("site.toml")
}

/// What the publisher writes after the push: the images of one version, of another version's names, a line each.
fn image_list(stack: &Stack, from: &str, version: &str) -> Result<Vec<String>> {
    let generation: Value = serde_json::from_str(&stack.file(".xr/generations/2/generation.json")?)?;
    let images = generation["images"].as_array().context("no images")?;
    let line = |image: &Value| {
        let reference = image["reference"].as_str().context("no reference")?.replace(from, version);
        let name = if reference.contains('/') { reference.clone() } else { format!("library/{reference}") };
        let digest = stack.lab.registry().digest(&name)?.with_context(|| format!("no {name}"))?;
        Ok(format!("{reference}@{digest}\n"))
    };
    images.iter().map(line).collect()
}

fn verified(stack: &Stack) -> Result<Vec<String>> {
    let done = stack.xr(&["status", "--json"])?.exits(0);
    let status: Value = serde_json::from_str(&done.stdout)?;
    let all = status["verified"].as_array().context("no `verified`")?;
    let line = |one: &Value| format!("{} {} {}", one["covers"], one["subject"], one["trusted_by"]).replace('"', "");
    Ok(all.iter().map(line).collect())
}

#[test]
fn only_what_the_installed_key_signed_is_installed_and_a_key_gives_way_only_by_its_own_word() -> Result<()> {
    let stack = Stack::new(&Setup::default())?;
    let (ours, next) = (SigningKey::openpgp("Acme <release@acme.example>")?, SigningKey::ssh("next@acme.example")?);
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let keys = stack.scratch("keys")?;
    std::fs::write(keys.join("ours"), ours.public())?;
    std::fs::write(keys.join("next"), next.public())?;
    let (ours_file, next_file) = (keys.join("ours").display().to_string(), keys.join("next").display().to_string());
    write(&stack, "v1.0.0", ours.public(), "")?;
    tag(&stack, "v1.0.0", &ours)?;
    stack.git(&["fetch", "--quiet", "--tags", "--force"])?;
    stack.git(&["reset", "--quiet", "--hard", "v1.0.0"])?;

    // A first install: by the key that the admin has, else by the one that the release brings, which is said.
    stack
        .xr(&["install", "--yes", "--trust-key", &next_file])?
        .exits(1)
        .says("which is not a trusted one")
        .says("hint:");
    stack.xr(&["install", "--yes", "--trust-key", "/no/such.asc"])?.exits(1).says("/no/such.asc does not exist");
    ensure!(stack.containers()?.is_empty() && !stack.root.join(".xr/current").exists());
    site(&stack, "[trust]\nrequired = true\n")?;
    stack
        .xr(&["install", "--yes"])?
        .exits(1)
        .says("nothing but the release says which key")
        .says("hint: xr install --trust");
    site(&stack, "")?;
    stack.xr(&["install", "--yes", "--dry-run"])?.exits(0).says("a key that the release itself brings");
    stack.xr(&["install", "--yes", "--trust-key", &ours_file])?.exits(0).never_says("itself brings");
    assert_eq!(verified(&stack)?, ["tree tag v1.0.0 --trust-key"]);
    let before = stack.snapshot()?;
    let same = || -> Result<()> {
        assert_eq!(stack.snapshot()?, before);
        assert_eq!(stack.version()?, "v1.0.0");
        ensure!(!stack.root.join(".xr/generations/2").exists() && !stack.root.join(".xr/keyring").exists());
        Ok(())
    };

    // A host without gpg is told.
    let few = stack.scratch("bin")?;
    for program in ["git", "docker"] {
        let path = std::env::var("PATH")?;
        let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
        let found = found.find(|path| path.exists()).context("no program")?;
        std::os::unix::fs::symlink(found, few.join(program))?;
    }
    let without = duct::cmd!(env!("CARGO_BIN_EXE_xr"), "doctor").env("PATH", few.display().to_string());
    let done = Done::of(&["doctor"], stack.with_environment(without))?.exits(6);
    ensure!(done.stdout.contains("cannot start `gpg`") && done.stdout.contains("> apt-get install gpg"), "{done}");

    // Not signed; light; signed by the key that it brings itself.
    write(&stack, "v1.1.0", next.public(), &pair.pk.to_box()?.to_string())?;
    stack.xr(&["update", "--yes"])?.exits(1).says("tag v1.1.0 is not signed").says("hint:");
    stack.remote.in_work(&["tag", "--force", "v1.1.0"])?;
    stack.remote.push()?;
    stack.xr(&["update", "--yes"])?.exits(1).says("a lightweight one");
    tag(&stack, "v1.1.0", &next)?;
    stack.xr(&["update", "--yes"])?.exits(1).says("is signed with the SSH key SHA256:").says("not a trusted one");
    same()?;

    // The admin's settings: he may take it all the same, or ask for a key of his; what he has written wrong is pointed at.
    site(&stack, "[trust]\naccept_unsigned = true\n")?;
    stack.xr(&["update", "--yes", "--dry-run"])?.exits(0).says("not verified: tag v1.1.0");
    site(&stack, &format!("[trust]\nkeys = [{next_file:?}]\n"))?;
    let done = stack.xr(&["update", "--yes", "--dry-run"])?.exits(0);
    ensure!(done.stdout.contains("verified: files: tag v1.1.0 signed by SSH key SHA256:"), "{done}");
    ensure!(done.stdout.contains("key trusted by .xr/site.toml"), "{done}");
    site(&stack, "[trust]\nkeys = [\"lost.asc\"]\n")?;
    stack
        .xr(&["update", "--yes"])?
        .exits(1)
        .says(".xr/site.toml: trust.keys: ")
        .says("lost.asc does not exist")
        .says("hint:");
    stack.xr(&["doctor"])?.exits(6);
    site(&stack, "[trust]\nkeys = [\"site.toml\"]\n")?;
    stack.xr(&["update", "--yes"])?.exits(1).says("site.toml: not a public key").says("hint:");
    site(&stack, "[trust]\nrequired = true\naccept_unsigned = true\n")?;
    stack.xr(&["update", "--yes"])?.exits(1).says("contradict each other");
    site(&stack, "")?;
    same()?;

    // The old key brings the new one; from then on the old one counts no more.
    tag(&stack, "v1.1.0", &ours)?;
    let done = stack.xr(&["update", "--yes", "--dry-run"])?.exits(0);
    ensure!(done.stdout.contains("trusted keys: new keys/images, changed keys/release"), "{done}");
    stack.xr(&["update", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(verified(&stack)?, ["tree tag v1.1.0 generation 1"]);
    stack.xr(&["install", "--yes"])?.exits(0); // what serves stays verified
    let done = stack.xr(&["doctor", "-v"])?.exits(0);
    ensure!(done.stdout.contains("files: tag v1.1.0 signed by OpenPGP key"), "{done}");
    ensure!(done.stdout.contains("verified by keys of generation 2"), "{done}");
    write(&stack, "v1.3.0", next.public(), &pair.pk.to_box()?.to_string())?;
    tag(&stack, "v1.3.0", &ours)?;
    stack
        .xr(&["update", "--yes"])?
        .exits(1)
        .says("tag v1.3.0 is signed with the OpenPGP key")
        .says("not a trusted one");
    tag(&stack, "v1.3.0", &next)?;
    stack.xr(&["update", "--yes"])?.exits(1).says("release.lock of v1.3.0 is missing");
    // The images by digest as well, all of them.
    let list = image_list(&stack, "v1.1.0", "v1.3.0")?;
    for (lines, code, says) in [(list[1..].concat(), 1, "is not listed"), (list.concat(), 0, "")] {
        std::fs::write(stack.remote.work().join("release.lock"), &lines)?;
        let signature = minisign::sign(None, &pair.sk, lines.as_bytes(), None, None)?.to_string();
        std::fs::write(stack.remote.work().join("release.lock.minisig"), signature)?;
        stack.remote.commit("build: the images")?;
        tag(&stack, "v1.3.0", &next)?;
        stack.xr(&["update", "--yes", "--dry-run"])?.exits(code).says(says);
    }
    stack.assert_all_of_it_is("v1.1.0")
}

const COMPOSE: &str = r#"
services:
  web:
    image: busybox
    command: ["httpd", "-f", "-p", "80", "-h", "/www"]
    stop_signal: SIGKILL
    ports: ["${PORT}:80"]
    volumes: ["./www:/www:ro"]
"#;

/// A bundle as its publisher makes it, with its signed list.
struct Bundle {
    files: Vec<(String, String)>,
    image: String,
}

impl Bundle {
    fn new(version: &str, public: &str, image: &str) -> Self {
        let manifest = format!("{QUICK}{TRUST}");
        let files = [
            ("VERSION", version),
            ("compose.yaml", COMPOSE),
            ("www/index.html", version),
            ("xr.toml", &manifest),
            ("keys/release", public),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Self { files, image: image.to_owned() }
    }

    fn unpack(&self, stack: &Stack, pair: &KeyPair) -> Result<()> {
        let sum = |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut list: String = self.files.iter().map(|(name, text)| format!("{}  {name}\n", sum(text))).collect();
        list.push_str(&self.image);
        let signature = minisign::sign(None, &pair.sk, list.as_bytes(), Some("acme"), None)?.to_string();
        let files = self.files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let all: Vec<(&str, &str)> =
            files.chain([("release.lock", list.as_str()), ("release.lock.minisig", &signature)]).collect();
        stack.unpack(&all)
    }
}

#[test]
fn a_bundle_and_its_images_are_installed_only_as_they_were_signed() -> Result<()> {
    let stack = Stack::unpacked()?;
    let (ours, theirs) = (KeyPair::generate_unencrypted_keypair()?, KeyPair::generate_unencrypted_keypair()?);
    let (public, other) = (ours.pk.to_box()?.to_string(), theirs.pk.to_box()?.to_string());
    let digest = stack.lab.registry().digest("library/busybox:latest")?.context("no busybox")?;
    let image = format!("busybox@{digest}\n");
    Bundle::new("v1.0.0", &public, &image).unpack(&stack, &ours)?;
    stack.xr(&["install", "--yes"])?.exits(0).says("a key that the release itself brings");
    let trusted_by = "the release itself";
    assert_eq!(
        verified(&stack)?,
        [format!("tree release.lock {trusted_by}"), format!("images release.lock {trusted_by}")]
    );
    let served = || stack.http("GET", "/").map(|answer| answer.body);
    assert_eq!(served()?, "v1.0.0");
    let before = stack.container("web")?;
    let refused = |what: &str| -> Result<()> {
        stack.xr(&["update", "--yes"])?.exits(1).says(what).says("hint:");
        assert_eq!((stack.container("web")?, stack.generation()?), (before.clone(), 1));
        Ok(())
    };

    // By another key; that is what the bundle says itself makes no difference.
    Bundle::new("v1.1.0", &other, &image).unpack(&stack, &theirs)?;
    refused("release.lock is not signed by a trusted key")?;
    // Another file, one that nobody signed, one that is missing.
    let good = Bundle::new("v1.1.0", &public, &image);
    good.unpack(&stack, &ours)?;
    stack.unpack(&[("compose.yaml", &COMPOSE.replace("httpd", "sh"))])?;
    refused("compose.yaml is not what the publisher signed")?;
    good.unpack(&stack, &ours)?;
    stack.unpack(&[("compose.override.yaml", "services: {web: {environment: {A: b}}}\n")])?;
    refused("compose.override.yaml is not in release.lock")?;
    std::fs::remove_file(stack.root.join("compose.override.yaml"))?;
    std::fs::remove_file(stack.root.join("www/index.html"))?;
    refused("www/index.html is in release.lock, and missing here")?;
    // Another image, or none.
    let wrong = format!("busybox@sha256:{}\n", "0".repeat(64));
    Bundle::new("v1.1.0", &public, &wrong).unpack(&stack, &ours)?;
    refused("listed is 000000000000")?;
    Bundle::new("v1.1.0", &public, "").unpack(&stack, &ours)?;
    refused("busybox is not listed")?;

    good.unpack(&stack, &ours)?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_eq!(served()?, "v1.1.0");
    assert_eq!(verified(&stack)?, ["tree release.lock generation 1", "images release.lock generation 1"]);
    stack.xr(&["rollback", "--yes"])?.exits(0);
    assert_eq!(served()?, "v1.0.0");
    Ok(())
}

#[test]
fn neither_a_release_nor_a_record_reaches_out_of_the_stack() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    let (before, work) = (stack.snapshot()?, stack.remote.work());
    let outside = stack.scratch("outside")?.join("secret");
    std::fs::write(&outside, "root:x:0:0:the host's own\n")?;
    let unharmed = |what: &str| -> Result<()> {
        assert_eq!(stack.snapshot()?, before, "{what}");
        assert_eq!(std::fs::read_to_string(&outside)?, "root:x:0:0:the host's own\n", "{what}");
        ensure!(!Path::new("/tmp/xr-was-tricked").exists(), "{what}");
        Ok(())
    };

    // In what is released.
    for (version, path, says) in [
        ("v2.0.0", "VERSION", "VERSION is, or lies behind, a symbolic link that leads out"),
        ("v2.0.1", "docker/.env", "docker/.env is, or lies behind, a symbolic link that leads out"),
        ("v2.0.2", "docker/docker-compose.yml", "docker/docker-compose.yml is, or lies behind, a symbolic link"),
        ("v2.0.3", "xr.toml", "xr.toml is a symbolic link that leads out of the stack"),
        ("v2.0.4", ".xr/site.toml", "its tree has .xr"),
    ] {
        let file = work.join(path);
        std::fs::create_dir_all(file.parent().context("no folder")?)?;
        let _ = std::fs::remove_file(&file);
        std::os::unix::fs::symlink(&outside, &file)?;
        stack.remote.in_work(&["add", "--force", path])?;
        stack.remote.commit(version)?;
        stack.remote.in_work(&["tag", version])?;
        stack.remote.push()?;
        stack.remote.in_work(&["reset", "--quiet", "--hard", "HEAD^"])?;
        stack.xr(&["update", "--yes", "--to", version])?.exits(1).says(says).says("hint:").never_says("root:x");
        unharmed(path)?;
        stack.remote.in_work(&["push", "--quiet", "--force", "origin", "main"])?;
    }
    // In the names of tags: none of these is a release, and git is not told of them.
    for name in ["--upload-pack=touch${IFS}/tmp/xr-was-tricked", "-x", "v9.0.0$(touch${IFS}/tmp/xr-was-tricked)"] {
        stack.remote.in_work(&["update-ref", &format!("refs/tags/{name}"), "HEAD"])?;
    }
    stack.remote.in_work(&["push", "--quiet", "origin", "refs/tags/*:refs/tags/*"])?;
    stack.xr(&["update", "--yes", "--to", "v9.0.0"])?.exits(1).says("has no release v9.0.0");
    unharmed("tags")?;

    // In what stands here.
    let version = stack.root.join("VERSION");
    std::fs::remove_file(&version)?;
    std::os::unix::fs::symlink(&outside, &version)?;
    stack.xr(&["update", "--yes"])?.exits(1).says("VERSION is a link to").never_says("root:x");
    stack.xr(&["doctor", "-v"])?.never_says("root:x");
    std::fs::remove_file(&version)?;
    std::fs::write(&version, "v1.0.0\n")?;
    let record = stack.root.join(".xr/generations/1/generation.json");
    let text = std::fs::read_to_string(&record)?;
    std::fs::write(&record, text.replace("\"directory\": \"docker\"", "\"directory\": \"../../etc/x\""))?;
    for argv in [["update", "--yes"], ["status", "--json"], ["restart", "--yes"]] {
        let done = stack.xr(&argv)?.exits(1);
        ensure!(done.to_string().contains("`../../etc/x` leads out of the stack"), "{done}");
    }
    std::fs::write(&record, text)?;
    let records = stack.root.join(".xr");
    std::fs::rename(&records, stack.scratch("outside")?.join("xr"))?;
    std::os::unix::fs::symlink(stack.scratch("outside")?.join("xr"), &records)?;
    for argv in [["update", "--yes"], ["status", "--json"], ["env", "list"]] {
        let done = stack.xr(&argv)?.exits(1);
        ensure!(done.to_string().contains(".xr is a symbolic link"), "{done}");
    }
    std::fs::remove_file(&records)?;
    std::fs::rename(stack.scratch("outside")?.join("xr"), &records)?;
    unharmed("here")?;
    stack.xr(&["status"])?.exits(0);
    Ok(())
}
