//! A release is the publisher's when one of the keys that are handed in says so, and no other key does.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod world;

use world::{World, git};
use xr_lab::SigningKey;
use xr_model::Result;
use xr_trust::{KeyFile, Keyring, Keys};
use xr_version_resolver::{Signer, Source};

/// Tags the publisher's tip.
fn tag(world: &World, key: &SigningKey, name: &str) -> String {
    git(&world.publisher, &key.argv(&["tag", "-s", "-m", name, name]));
    git(&world.publisher, &["rev-parse", "HEAD"])
}

/// Who signed `source` at `commit`, when these are the keys.
fn signer(world: &World, keys: &[&str], source: &Source, commit: &str) -> Result<Signer> {
    let file = |text: &&str| KeyFile { name: "key".into(), bytes: text.as_bytes().to_vec() };
    let keys = Keys::read(keys.iter().map(file).collect())?;
    // Under sudo in a user's clone git and gpg run as that user.
    let owner = xr_host::owner_of(&world.clone)?;
    let ring = Keyring::make(&world.clone.join(".git/keyring"), &keys, owner.as_ref())?;
    let signers = ring.allowed_signers();
    let keyring = xr_version_resolver::Keyring { gnupg_home: ring.gnupg_home(), allowed_signers: &signers };
    world.checkout().signer(source, commit, keyring)
}

fn refusal(world: &World, keys: &[&str], name: &str, commit: &str) -> String {
    let fault = signer(world, keys, &Source::Tag(name.to_owned()), commit).unwrap_err();
    assert!(fault.hint.is_some(), "{}", fault.message);
    fault.message
}

#[test]
fn a_tag_is_taken_from_trusted_keys_alone_whichever_program_made_them() {
    let world = World::bare();
    let (pgp, ssh) = (SigningKey::openpgp("Acme <release@acme.example>").unwrap(), SigningKey::ssh("acme").unwrap());
    let stranger = SigningKey::openpgp("Mallory <m@example.org>").unwrap();
    let commit = tag(&world, &pgp, "v1.0.0");
    tag(&world, &ssh, "v1.0.1");
    tag(&world, &stranger, "v1.0.2");
    world.clone(&[]);
    // What the clone's own settings trust does not count.
    let signers = world.dir.path().join("signers");
    std::fs::write(&signers, format!("* {}", ssh.public())).unwrap();
    git(&world.clone, &["config", "gpg.ssh.allowedSignersFile", signers.to_str().unwrap()]);
    git(&world.clone, &["config", "gpg.program", "true"]);

    if rustix::process::geteuid().is_root() {
        xr_host::Cmd::new("chown").args(["-R", "nobody:nogroup"]).arg(&world.clone).ok().unwrap();
    }

    let keys = [pgp.public(), ssh.public()];
    let good = signer(&world, &keys, &Source::Tag("v1.0.0".into()), &commit).unwrap();
    assert_eq!((good.subject.as_str(), good.owner.as_str()), ("tag v1.0.0", "Acme <release@acme.example>"));
    assert!(good.key.starts_with("OpenPGP key ") && good.key.len() == "OpenPGP key ".len() + 40, "{}", good.key);
    let good = signer(&world, &keys, &Source::Tag("v1.0.1".into()), &commit).unwrap();
    assert!(good.owner == "acme" && good.key.starts_with("SSH key SHA256:"), "{good:?}");

    assert!(refusal(&world, &keys, "v1.0.2", &commit).contains("which is not a trusted one"));
    assert!(refusal(&world, &keys[1..], "v1.0.0", &commit).contains("which is not a trusted one"));
    assert!(refusal(&world, &keys[..1], "v1.0.1", &commit).contains("is signed with the SSH key SHA256:"));
}

#[test]
fn expired_and_revoked_keys_sign_nothing() {
    let world = World::bare();
    let expired = SigningKey::expired("Old <old@acme.example>").unwrap();
    let revoked = SigningKey::openpgp("Lost <lost@acme.example>").unwrap();
    let commit = tag(&world, &expired, "v1.0.0");
    tag(&world, &revoked, "v1.0.1");
    world.clone(&[]);
    assert!(refusal(&world, &[expired.public()], "v1.0.0", &commit).contains("a key that has expired"));
    assert!(refusal(&world, &[&revoked.revoked().unwrap()], "v1.0.1", &commit).contains("its owner has revoked"));
    let file = |text: &str| KeyFile { name: "key".into(), bytes: text.as_bytes().to_vec() };
    let keys = Keys::read(vec![file(expired.public()), file(&revoked.revoked().unwrap())]).unwrap();
    assert_eq!(keys.examine(1_900_000_000).unwrap(), ["key has expired", "key was revoked"]);
}

#[test]
fn a_tag_that_is_light_unsigned_altered_or_another_ones_is_refused() {
    let world = World::bare();
    let key = SigningKey::ssh("acme").unwrap();
    let old = tag(&world, &key, "v1.0.0");
    let commit = world.publish("VERSION", "v1.1.0\n");
    git(&world.publisher, &["tag", "v1.1.0"]);
    git(&world.publisher, &["tag", "-a", "-m", "x", "v1.1.1"]);
    // An old release under a new name, and one whose text was changed after it was signed.
    git(&world.publisher, &["update-ref", "refs/tags/v9.0.0", "refs/tags/v1.0.0"]);
    let text = git(&world.publisher, &["cat-file", "tag", "v1.0.0"]).replace(&old, &commit) + "\n";
    let altered = xr_host::Cmd::new("git").args(["hash-object", "-t", "tag", "-w", "--stdin"]);
    let altered = altered.cwd(&world.publisher).stdin(text).ok().unwrap().text();
    git(&world.publisher, &["update-ref", "refs/tags/v1.0.0", &altered]);
    world.clone(&[]);
    for (name, at, part) in [
        ("v1.1.0", &commit, "a lightweight one"),
        ("v1.1.1", &commit, "is not signed"),
        ("v9.0.0", &old, "says `v1.0.0` of itself"),
        ("v1.0.0", &commit, "signature"),
    ] {
        let refusal = refusal(&world, &[key.public()], name, at);
        assert!(refusal.contains(part), "{name}: {refusal}");
    }
}

#[test]
fn a_branch_is_taken_when_its_tip_is_signed_and_a_tag_is_fetched_when_only_its_commit_is_here() {
    let world = World::bare();
    let key = SigningKey::ssh("acme").unwrap();
    let checkout = world.clone(&["--no-tags"]);
    git(&world.publisher, &key.argv(&["commit", "-q", "-S", "--allow-empty", "-m", "signed"]));
    let commit = tag(&world, &key, "v1.0.0");
    checkout.fetch(&Source::Branch("main".into()), &commit).unwrap();
    let branch = Source::Branch("main".into());
    let good = signer(&world, &[key.public()], &branch, &commit).unwrap();
    assert!(good.subject.starts_with("commit "), "{good:?}");
    assert_eq!(signer(&world, &[key.public()], &Source::Tag("v1.0.0".into()), &commit).unwrap().subject, "tag v1.0.0");
    let unsigned = world.publish("VERSION", "v1.1.0\n");
    checkout.fetch(&branch, &unsigned).unwrap();
    assert!(signer(&world, &[key.public()], &branch, &unsigned).unwrap_err().message.contains("is not signed"));
}
