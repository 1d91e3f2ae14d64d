//! Is this release the publisher's? Asked before anything is staged, by keys that were there before it.

mod checked;
mod policy;

use std::{
    fs,
    path::{Path, PathBuf},
};

use xr_model::{Covers, Fault, Generation, Result, Verified};
use xr_session::Session;
use xr_stack::Trust;
use xr_trust::{KeyFile, Keyring, Keys, SignedList};
use xr_version_resolver::Resolution;

use crate::{bundle_files::BundleFiles, release_keys, staging};

pub use checked::Checked;
pub use policy::{Origin, Policy, Rules};

/// Checks the signatures of a release. `given` are files of keys that alone count for this run.
///
/// # Errors
/// What is not signed as it must be, when that is required; keys that cannot be read.
pub fn check(
    session: &Session<'_>,
    given: &[PathBuf],
    current: Option<&Generation>,
    resolution: &Resolution,
) -> Result<Checked> {
    let rules = Rules { home: &session.home, site: &session.site.trust, given };
    let commit = resolution.commit.as_deref().filter(|_| session.checkout.is_some());
    let known = rules.policy(current, &session.generations)?;
    let known = match known {
        Some(policy) if policy.keys.is_empty() => return Ok(Checked::nothing(policy)),
        known => known,
    };
    // Where its list is, the release says; at a first install also what it asks for.
    let brought = match read(session, commit, "xr.toml")? {
        Some(bytes) => xr_stack::trust_of(Path::new("xr.toml"), bytes)?,
        None => Trust::default(),
    };
    let policy = match known {
        Some(policy) if current.is_some() => policy,
        Some(policy) => policy.tightened(&session.site.trust, &brought),
        None if session.site.trust.required => return Err(own_word(session)),
        None => rules.with(Origin::Release, brought_keys(session, commit, &brought)?, brought.clone())?,
    };
    let mut checked = Checked::nothing(policy);
    if checked.policy.keys.is_empty() {
        return Ok(checked);
    }
    // What serves was judged when it came; the keys that it brought are for what comes after it.
    let serves = current.filter(|current| commit.is_some() && current.commit.as_deref() == commit);
    if let Some(current) = serves {
        checked.carry_over(current);
        if !current.verified.iter().any(|known| known.covers == Covers::Images) {
            return Ok(checked);
        }
    }
    session.phase("verify");
    match commit {
        _ if serves.is_some() => {}
        Some(commit) if checked.policy.keys.has_git() => {
            let tree = tree(session, &checked.policy, resolution, commit);
            checked.take(session, tree)?;
        }
        None if !checked.policy.keys.has_minisign() => {
            let text = "an unpacked bundle has no git signature, and no trusted key is a minisign key";
            checked.refuse(
                session,
                Fault::new(text).hint("take a clone, or ask the publisher for a minisign key and a signed list"),
            )?;
        }
        _ => {}
    }
    if checked.policy.keys.has_minisign() {
        let list = signed_list(session, &checked.policy, current, resolution, &brought)
            .and_then(|(list, verified)| files(session, commit, &list).map(|()| (list, verified)));
        checked.take_list(session, list, commit.is_none())?;
    }
    Ok(checked)
}

/// If signatures are required, keys that come inside the release are not accepted.
fn own_word(session: &Session<'_>) -> Fault {
    let site = session.home.site();
    Fault::new(format!(
        "{}: trust.required = true, and nothing but the release says which key is its publisher's",
        site.display()
    ))
    .hint("xr install --trust-key FILE   # the publisher's public key, from the publisher")
}

/// The keys that the release itself names.
fn brought_keys(session: &Session<'_>, commit: Option<&str>, trust: &Trust) -> Result<Keys> {
    let keys = trust.keys.iter().map(|name| {
        let bytes = read(session, commit, name)?.ok_or_else(|| release_keys::missing(name))?;
        Ok(KeyFile { name: format!("xr.toml: trust.keys: {name}"), bytes })
    });
    Keys::read(keys.collect::<Result<_>>()?)
}

/// A file of the release.
fn read(session: &Session<'_>, commit: Option<&str>, path: &str) -> Result<Option<Vec<u8>>> {
    match (&session.checkout, commit) {
        (Some(checkout), Some(commit)) => checkout.read(commit, path),
        _ => release_keys::regular(&session.root.join(path)),
    }
}

/// What git's own signature says of the tree.
fn tree(session: &Session<'_>, policy: &Policy, resolution: &Resolution, commit: &str) -> Result<Verified> {
    let checkout = session.checkout.as_ref().ok_or_else(|| Fault::new("no git checkout"))?;
    let ring = Keyring::make(&session.home.path().join("keyring"), &policy.keys, session.owner.as_ref())?;
    let signers = ring.allowed_signers();
    let keyring = xr_version_resolver::Keyring { gnupg_home: ring.gnupg_home(), allowed_signers: &signers };
    let signer = checkout.signer(&resolution.source, commit, keyring)?;
    Ok(Verified {
        covers: Covers::Tree,
        subject: signer.subject,
        key: signer.key,
        owner: signer.owner,
        trusted_by: policy.origin.to_string(),
    })
}

fn known(current: Option<&Generation>) -> Option<Verified> {
    current?.verified.iter().find(|known| known.covers == Covers::Images).cloned()
}

/// The release's signed list.
fn signed_list(
    session: &Session<'_>,
    policy: &Policy,
    current: Option<&Generation>,
    resolution: &Resolution,
    trust: &Trust,
) -> Result<(SignedList, Verified)> {
    let commit = resolution.commit.as_deref().filter(|_| session.checkout.is_some());
    let (name, beside) = (&trust.list, trust.signature());
    let absent = |name: &str| {
        Fault::new(format!(
            "{name} of {} is missing: nothing says which images are the publisher's",
            resolution.version
        ))
        .hint(format!("the publisher writes {} and signs it: minisign -Sm {}", trust.list, trust.list))
    };
    let bytes = read(session, commit, name)?.ok_or_else(|| absent(name))?;
    let parse = || SignedList::parse(name, &bytes);
    let kept = current.map(|current| xr_session::root_of(session, current.number).join(name));
    let same = kept.is_some_and(|path| fs::read(path).is_ok_and(|kept| kept == bytes));
    if let Some(known) = known(current.filter(|_| same)) {
        return Ok((parse()?, known));
    }
    let signature = read(session, commit, &beside)?.ok_or_else(|| absent(&beside))?;
    let key = SignedList::verify(name, &bytes, &signature, &policy.keys)?;
    let verified = Verified {
        covers: Covers::Images,
        subject: name.clone(),
        key: key.key,
        owner: key.comment,
        trusted_by: policy.origin.to_string(),
    };
    Ok((parse()?, verified))
}

/// Every listed file of a release is what was signed.
fn files(session: &Session<'_>, commit: Option<&str>, list: &SignedList) -> Result<()> {
    for path in list.files() {
        list.check_file(path, read(session, commit, path)?.as_deref())?;
    }
    Ok(())
}

/// The files of a staged bundle that somebody must vouch for: all but the settings, what a service may have written and
/// what is the admin's own.
fn to_vouch_for(session: &Session<'_>, staged: &staging::Staged, list: &str) -> Result<Vec<String>> {
    let root = xr_session::root_of(session, staged.number);
    let own = BundleFiles::of(session, staged.number);
    let signature = format!("{list}.minisig");
    let exempt = |name: &String| {
        *name == staged.stack.layout.env
            || *name == list
            || *name == signature
            || own.writable.contains(name)
            || session.site.trust.own.contains(name)
    };
    let all = crate::bundle::files(&root)?.into_iter().map(|path| path.display().to_string());
    Ok(all.filter(|name| !exempt(name)).collect())
}
