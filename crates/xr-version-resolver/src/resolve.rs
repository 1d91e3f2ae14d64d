//! The rules that lead from tags, branch and VERSION to one release.

use std::path::Path;

use xr_model::{Fault, Result, Version, exit};

use crate::{
    Channel, Checkout, Current, Follow, RemoteRefs, Request, Resolution, Source, Tag,
    choose::{self, Step},
    refs::short,
    version_file,
};

/// The release that `request` asks for; asks the remote once, and fetches only what is new. `checkout` is `None` when
/// the stack directory `root` is an unpacked bundle.
///
/// # Errors
/// When the remote cannot be read, there is no such release, or it would be a downgrade nobody allowed.
pub fn resolve(root: &Path, checkout: Option<&Checkout>, request: &Request) -> Result<Resolution> {
    let Some(checkout) = checkout else { return bundle(root, request) };
    let (refs, mut notes) = match checkout.ls_remote(request.branch.as_deref()) {
        Ok(refs) => (refs, Vec::new()),
        Err(fault) => offline(checkout, request, fault)?,
    };
    let mut resolution = if let Some(wanted) = &request.to {
        match choose::named(&refs.tags, wanted) {
            Some(tag) => at_tag(checkout, request, tag)?,
            None if refs.tags.is_empty() && refs.branch.is_some() => at_tip(checkout, request, &refs)?,
            None => return Err(unknown(&refs, wanted)),
        }
    } else {
        let refs = RemoteRefs { tags: choose::related(&refs.tags, request), ..refs.clone() };
        if request.follow == Follow::Tags || (request.follow == Follow::Auto && !refs.tags.is_empty()) {
            newest_tag(checkout, request, &refs)?
        } else {
            at_tip(checkout, request, &refs)?
        }
    };
    if request.to.is_some() && !choose::fits(&resolution.version, request) {
        let constraint = request.constraint.as_ref().map(ToString::to_string).unwrap_or_default();
        notes.push(format!(
            "{} is outside the configured versions `{constraint}`; it was asked for",
            resolution.version
        ));
    }
    notes.append(&mut resolution.notes);
    Ok(Resolution { notes, ..resolution })
}

/// The release of a first install: the tree as it stands, without the network, unless `request.to` names another.
///
/// # Errors
/// When VERSION cannot be read and HEAD is at no version tag, or as [`resolve`].
pub fn resolve_install(root: &Path, checkout: Option<&Checkout>, request: &Request) -> Result<Resolution> {
    let Some(checkout) = checkout.filter(|_| request.to.is_none()) else { return resolve(root, checkout, request) };
    let head = checkout.head()?;
    let written = version_file::read(&root.join(&request.version_path));
    let here = checkout.local_tags(&["--points-at=HEAD"])?;
    let tag = written.as_ref().ok().and_then(|version| choose::named(&here, version));
    let tag = tag.or_else(|| here.iter().max_by(|a, b| a.version.cmp(&b.version)));
    let (version, source, mut notes) = match tag {
        Some(tag) => {
            let note = written.ok().and_then(|version| lag(tag, &version, &request.version_path));
            (tag.version.clone(), Source::Tag(tag.name.clone()), Vec::from_iter(note))
        }
        None => {
            let version = match written {
                Err(_) if !root.join(&request.version_path).exists() => checkout.version_of(&head.commit)?,
                written => written?,
            };
            (version, head.branch.map_or(Source::Head, Source::Branch), Vec::new())
        }
    };
    let unchanged = match choose::judge(&version, request)? {
        Step::Go => false,
        Step::Same((_, commit)) => commit.as_ref().is_none_or(|at| *at == head.commit),
        Step::Older(current) => return Ok(stay(current, source, older("the work tree", &version, current))),
    };
    notes.retain(|_| !unchanged);
    Ok(Resolution { version, commit: Some(head.commit), source, notes, unchanged, moved: None })
}

/// This clone's own tags, when an explicit version is asked for and the remote is silent or there is none.
fn offline(checkout: &Checkout, request: &Request, fault: Fault) -> Result<(RemoteRefs, Vec<String>)> {
    let silent = fault.code == exit::TRY_LATER || matches!(checkout.remote(), Ok(None));
    let Some(wanted) = request.to.as_ref().filter(|_| silent) else { return Err(fault) };
    let tags = checkout.local_tags(&[])?;
    let Some(tag) = choose::named(&tags, wanted).cloned() else { return Err(fault) };
    let note = format!("{fault}; the tag {} of this clone is used", tag.name);
    Ok((RemoteRefs { remote: String::new(), branch: None, gone: None, tags: vec![tag] }, vec![note]))
}

fn newest_tag(checkout: &Checkout, request: &Request, refs: &RemoteRefs) -> Result<Resolution> {
    if let Some(tag) = choose::newest(&refs.tags, request) {
        return at_tag(checkout, request, tag);
    }
    let constraint = request.constraint.as_ref().map(|c| format!(" within `{c}`")).unwrap_or_default();
    let kind = if request.channel == Channel::Stable { "stable release" } else { "release" };
    let what = format!("`{}` has no {kind}{constraint}", refs.remote);
    if let Some(current) = &request.current {
        return Ok(stay(current, Source::Head, format!("{what}; staying at {}", current.0)));
    }
    Err(nothing(refs, &what))
}

/// The release that is tagged `tag`.
fn at_tag(checkout: &Checkout, request: &Request, tag: &Tag) -> Result<Resolution> {
    let source = Source::Tag(tag.name.clone());
    let version = tag.version.clone();
    match choose::judge(&version, request)? {
        Step::Older(current) => Ok(stay(current, source, older(&format!("the tag {}", tag.name), &version, current))),
        Step::Same((_, current)) => {
            let moved = current.as_deref() != Some(&tag.commit) && checkout.knew_otherwise(tag, current.as_deref());
            let note = moved.then(|| format!("tag {} was re-pushed: it is now at {}", tag.name, short(&tag.commit)));
            let moved = moved.then(|| tag.commit.clone());
            let commit = Some(current.clone().unwrap_or_else(|| tag.commit.clone()));
            Ok(Resolution { version, commit, source, notes: note.into_iter().collect(), unchanged: true, moved })
        }
        Step::Go => {
            checkout.fetch(&source, &tag.commit)?;
            let written = checkout.read(&tag.commit, &request.version_path)?;
            let written = written.and_then(|bytes| version_file::parse(&request.version_path, &bytes).ok());
            let notes = written.and_then(|written| lag(tag, &written, &request.version_path)).into_iter().collect();
            Ok(Resolution { version, commit: Some(tag.commit.clone()), source, notes, unchanged: false, moved: None })
        }
    }
}

/// The release that VERSION at the branch's tip announces.
fn at_tip(checkout: &Checkout, request: &Request, refs: &RemoteRefs) -> Result<Resolution> {
    if let (None, Some((gone, default))) = (&refs.branch, &refs.gone) {
        let root = xr_model::shell(&checkout.root()).to_string();
        let remote = &refs.remote;
        return Err(Fault::new(format!("`{remote}` has no branch {gone} any more; its default is {default} now")).hint(
            format!(
                "to follow that: git -C {root} fetch {remote} {default}:refs/remotes/{remote}/{default} && git -C {root} branch --set-upstream-to={remote}/{default}"
            ),
        ));
    }
    let Some((branch, tip)) = &refs.branch else {
        let wanted = request
            .branch
            .as_ref()
            .map_or_else(|| "no branch to follow".to_owned(), |name| format!("no branch `{name}`"));
        return Err(Fault::new(format!("`{}` has {wanted}", refs.remote)).hint(format!(
            "git -C {} ls-remote --heads {}",
            xr_model::shell(&checkout.root()),
            refs.remote
        )));
    };
    let source = Source::Branch(branch.clone());
    if let Some((version, Some(commit))) = &request.current
        && commit == tip
        && request.to.as_ref().is_none_or(|to| to == version)
    {
        let (version, commit) = (version.clone(), Some(commit.clone()));
        return Ok(Resolution { version, commit, source, notes: Vec::new(), unchanged: true, moved: None });
    }
    checkout.fetch(&source, tip)?;
    let name = format!("{}/{branch}:{}", refs.remote, request.version_path);
    let version = match checkout.read(tip, &request.version_path)? {
        Some(bytes) => version_file::parse(&name, &bytes).map_err(|fault| {
            fault.hint(format!("git -C {} show {tip}:{}", xr_model::shell(&checkout.root()), request.version_path))
        })?,
        // A publisher who keeps no VERSION and sets no tags: each commit is a release.
        None if request.current.as_ref().is_none_or(|(version, _)| is_of_a_commit(version)) => {
            checkout.version_of(tip)?
        }
        None => {
            return Err(Fault::new(format!("{name} is missing: it says which version the branch is at"))
                .hint("xr update --to VERSION"));
        }
    };
    if request.to.as_ref().is_some_and(|to| *to != version) {
        return Err(Fault::new(format!("`{}` has no tags, and its branch {branch} is at {version}", refs.remote))
            .hint(format!("xr update --to {version}")));
    }
    if request.to.is_none() && !choose::fits(&version, request) {
        let what = format!("{version} on {branch} is outside the configured versions");
        return request
            .current
            .as_ref()
            .map_or_else(|| Err(nothing(refs, &what)), |current| Ok(stay(current, source, what.clone())));
    }
    // Commits of one second are in no order but that of the branch.
    if !is_of_a_commit(&version)
        && let Step::Older(current) = choose::judge(&version, request)?
    {
        return Ok(stay(current, source, older(&format!("{} on {branch}", request.version_path), &version, current)));
    }
    if let Some(tag) = choose::named(&refs.tags, &version) {
        return at_tag(checkout, request, tag);
    }
    if let Some((_, Some(commit))) = &request.current
        && request.to.is_none()
        && !checkout.leads_to(commit, tip)?
    {
        let note = format!(
            "{branch} of `{}` was rewritten: at {} it does not contain {}, which is installed",
            refs.remote,
            short(tip),
            short(commit)
        );
        let (commit, moved) = (Some(commit.clone()), Some(tip.clone()));
        return Ok(Resolution { version, commit, source, notes: vec![note], unchanged: true, moved });
    }
    let mut notes = Vec::new();
    if let Some((current, Some(commit))) = &request.current
        && *current == version
    {
        notes.push(format!(
            "{branch} moved from {} to {}; its {} still says {version}",
            short(commit),
            short(tip),
            request.version_path
        ));
    }
    Ok(Resolution { version, commit: Some(tip.clone()), source, notes, unchanged: false, moved: None })
}

/// Whether a version is one that [`Checkout::version_of`] gives.
fn is_of_a_commit(version: &Version) -> bool {
    version.family() == Some(COMMIT)
}

/// What the version of a commit begins with that neither VERSION nor a tag names.
const COMMIT: &str = "commit-";

impl Checkout {
    /// The version of a commit that neither VERSION nor a tag names: `commit-20260131.104500-0123abcd`, by its date (UTC), so
    /// that a later one is newer.
    ///
    /// # Errors
    /// When the commit is not in this clone.
    fn version_of(&self, commit: &str) -> Result<Version> {
        let show = ["show", "-s", "--date=format-local:%Y%m%d.%H%M%S", "--format=%cd", commit];
        let date = self.must("read the date of a commit", &self.git(show).env("TZ", "UTC"))?.text();
        let text = format!("{COMMIT}{}-{}", date.trim(), commit.get(..8).unwrap_or(commit));
        text.parse().map_err(|_| Fault::new(format!("git dates commit {} `{date}`", short(commit))))
    }
}

/// The bundle unpacked at `root`: whatever its VERSION says.
fn bundle(root: &Path, request: &Request) -> Result<Resolution> {
    let path = root.join(&request.version_path);
    let version = version_file::read(&path)?;
    if let Some(wanted) = request.to.as_ref().filter(|wanted| **wanted != version) {
        return Err(Fault::new(format!(
            "{} is an unpacked bundle of {version}, not {wanted}, and no git clone to fetch from",
            root.display()
        ))
        .hint(format!(
            "unpack the bundle of {wanted} over {} and run the same command again",
            xr_model::shell(&root)
        )));
    }
    let unchanged = match choose::judge(&version, request)? {
        Step::Go => false,
        Step::Same(_) => true,
        Step::Older(current) => {
            return Ok(stay(current, Source::Bundle, older(&path.display().to_string(), &version, current)));
        }
    };
    Ok(Resolution { version, commit: None, source: Source::Bundle, notes: Vec::new(), unchanged, moved: None })
}

/// Stays at `current`.
fn stay(current: &Current, source: Source, note: String) -> Resolution {
    let (version, commit) = current.clone();
    Resolution { version, commit, source, notes: vec![note], unchanged: true, moved: None }
}

fn older(what: &str, version: &Version, current: &Current) -> String {
    format!("{what} is at {version}, older than {}, which is installed; nothing is downgraded", current.0)
}

/// The note that the tree of a tag says another version than the tag.
fn lag(tag: &Tag, written: &Version, path: &str) -> Option<String> {
    (*written != tag.version).then(|| format!("{path} in the tree of tag {} says {written}; the tag counts", tag.name))
}

fn unknown(refs: &RemoteRefs, wanted: &Version) -> Fault {
    let place = if refs.remote.is_empty() { "this clone".to_owned() } else { format!("`{}`", refs.remote) };
    let known = choose::nearest(&refs.tags, wanted);
    if known.is_empty() {
        return Fault::new(format!("{place} has no release {wanted}, nor any other version tag")).hint("xr update");
    }
    let hint = format!("xr update --to {}", known[0]);
    Fault::new(format!("{place} has no release {wanted}; near it are {}", known.join(", "))).hint(hint)
}

fn nothing(refs: &RemoteRefs, what: &str) -> Fault {
    match refs.tags.iter().max_by(|a, b| a.version.cmp(&b.version)) {
        Some(tag) if tag.version.is_prerelease() => {
            Fault::new(format!("{what}; its newest pre-release is {}", tag.name)).hint("xr update --channel dev")
        }
        Some(tag) => Fault::new(format!("{what}; its newest release is {}", tag.name))
            .hint(format!("xr update --to {}", tag.name)),
        None => Fault::new(format!("{what}, nor any other version tag")).hint("xr update --follow branch"),
    }
}
