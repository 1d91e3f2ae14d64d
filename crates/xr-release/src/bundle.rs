//! A stack without git: a generation's files put over the unpacked tree, and nothing lost that stands there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xr_model::{Fault, Level, Plan, Result, RunKind};
use xr_session::Session;
use xr_stack::leads_out;

use crate::{bundle_files::BundleFiles, staging};

/// What became of the files that were in the way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Laid {
    /// Whether anything differed.
    changed: bool,
    /// Replaced; what stood there is set aside.
    aside: Vec<String>,
    /// Left, because a service may have written there.
    left: Vec<String>,
    /// Left, because they lie behind a symbolic link that leads out of the tree.
    outside: Vec<String>,
}

/// Puts a generation's files in place. What the admin changed since the present one is set aside with the run.
pub(crate) fn switch(session: &Session<'_>, run: &str, number: u32, managed: [&str; 2]) -> Result<()> {
    let current = session.generations.current()?.map(|generation| generation.number);
    let known: Vec<PathBuf> = current.map(|present| xr_session::root_of(session, present)).into_iter().collect();
    let aside = replaced(session, run);
    let own = BundleFiles::of(session, number);
    let layers = Layers { staged: &xr_session::root_of(session, number), known: &known, unpacked: None };
    let laid = lay(&layers, &session.root, &own.writable, managed, &aside)?;
    if !laid.aside.is_empty() {
        let what = laid.aside.join(", ");
        let there = aside.display();
        session.say(Level::Warning, format!("changed here and replaced: {what}; what stood there is in {there}"));
    }
    say_left(session, &laid, number);
    known.first().map_or(Ok(()), |present| say_newer(session, present, number))
}

/// Puts the tree back as generation `from` has it, VERSION included: a tree that is half of a new bundle and half of the
/// old would be installed by the next run under the new one's name.
pub(crate) fn put_back(session: &Session<'_>, run: &str, from: u32, plan: &Plan, managed: [&str; 2]) -> Result<()> {
    let aside = session.home.run(run).join("unpacked");
    let root = xr_session::root_of(session, from);
    // What a rollback brought is in its generation; what an update brings is in none as long as it is not recorded.
    let known: Vec<PathBuf> =
        session.generations.read(plan.generation).map(|g| xr_session::root_of(session, g.number)).into_iter().collect();
    let unpacked = xr_session::root_of(session, plan.generation);
    let layers = Layers { staged: &root, known: &known, unpacked: Some(&unpacked) };
    let laid = lay(&layers, &session.root, &BundleFiles::of(session, from).writable, managed, &aside)?;
    say_left(session, &laid, from);
    if plan.kind != RunKind::Rollback && unpacked.is_dir() {
        say_newer(session, &unpacked, from)?;
    }
    let edited = replaced(session, run);
    if edited.is_dir() {
        let layers = Layers { staged: &edited, known: std::slice::from_ref(&root), unpacked: None };
        lay(&layers, &session.root, &[], managed, &aside)?;
    }
    if laid.changed {
        let version = plan.from_version.as_ref().unwrap_or(&plan.version);
        let again = if *version == plan.version || plan.kind == RunKind::Rollback {
            String::new()
        } else {
            format!("; to try {} again, unpack its bundle again", plan.version)
        };
        let aside =
            if laid.aside.is_empty() { String::new() } else { format!("; what stood there is in {}", aside.display()) };
        session.say(
            Level::Warning,
            format!("the tree is that of {version} again, VERSION included, as generation {from} has it{again}{aside}"),
        );
    }
    Ok(())
}

fn say_left(session: &Session<'_>, laid: &Laid, number: u32) {
    if !laid.left.is_empty() {
        let (what, kept) = (laid.left.join(", "), xr_session::root_of(session, number));
        let text = "left as they are, because a service may have written them";
        session.say(Level::Warning, format!("{text}: {what}; generation {number} has them in {}", kept.display()));
    }
    if !laid.outside.is_empty() {
        let text = "not put back, because a symbolic link leads out of the stack";
        session.say(Level::Warning, format!("{text}: {}", laid.outside.join(", ")));
    }
}

/// Where a run keeps what it replaced in the tree and no generation has.
fn replaced(session: &Session<'_>, run: &str) -> PathBuf {
    session.home.run(run).join("replaced")
}

/// Trees that may hold what stands in the stack's.
struct Layers<'a> {
    /// What is put over it.
    staged: &'a Path,
    /// What is kept anyhow: recorded generations.
    known: &'a [PathBuf],
    /// The tree as the run found it, of a generation that was not recorded: nobody wrote since what is still like it.
    unpacked: Option<&'a Path>,
}

/// Copies the staged tree over `root`. Of the files that xr manages itself `.env`, the second, is not touched, and VERSION,
/// the first, never set aside. Of the others what stands there and is in no recorded generation is copied to `aside`
/// first, or left when it is one of `writable` and was written since.
fn lay(layers: &Layers<'_>, root: &Path, writable: &[String], managed: [&str; 2], aside: &Path) -> Result<Laid> {
    let mut laid = Laid::default();
    for relative in files(layers.staged)? {
        let (path, target) = (layers.staged.join(&relative), root.join(&relative));
        let name = relative.display().to_string();
        let present = fs::read(&target).ok();
        if name == managed[1] || fs::read(&path).ok() == present {
            continue;
        }
        laid.changed = true;
        let behind = relative.parent().filter(|folder| !folder.as_os_str().is_empty());
        if behind.is_some_and(|folder| leads_out(root, &folder.display().to_string())) {
            laid.outside.push(name);
            continue;
        }
        let like = |tree: &Path| fs::read(tree.join(&relative)).ok() == present;
        if present.is_some() && name != managed[0] && !layers.known.iter().any(|tree| like(tree)) {
            if writable.contains(&name) && !layers.unpacked.is_some_and(like) {
                laid.left.push(name);
                continue;
            }
            staging::copy(&target, &aside.join(&relative))?;
            laid.aside.push(name.clone());
        }
        if let Some(parent) = target.parent() {
            // As an archive would make it: what reads it in a container need not be its owner.
            fs::create_dir_all(parent).map_err(Fault::at(format!("cannot make {}", parent.display())))?;
        }
        if target.is_symlink() && leads_out(root, &name) {
            // Written through it, a file of the host's would be lost; what it led to is set aside above, as a copy.
            fs::remove_file(&target).map_err(Fault::at(format!("cannot remove the link {}", target.display())))?;
        }
        staging::copy(&path, &target)?;
    }
    Ok(laid)
}

/// The files of a tree, from its root, in order.
pub(crate) fn files(tree: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(Fault::at(format!("cannot read {}", folder.display())))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(tree) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names what came after the generation that is put back: nobody can tell whether it is the new bundle's or the admin's.
fn say_newer(session: &Session<'_>, newer: &Path, number: u32) -> Result<()> {
    let old = xr_session::root_of(session, number);
    let here = |file: &PathBuf| session.root.join(file).exists() && !old.join(file).exists();
    let names: Vec<String> = files(newer)?.into_iter().filter(here).map(|file| file.display().to_string()).collect();
    if !names.is_empty() {
        let text = format!("left, though generation {number} does not have it: {}", names.join(", "));
        session.say(Level::Warning, text);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use super::*;

    fn tree(under: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = under.join(name);
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_tree_is_wholly_the_generations_and_what_no_generation_has_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let old =
            tree(at, "1", &[("VERSION", "v1"), ("c.yaml", "old"), ("conf/a", "a1"), ("conf/b", "b1"), (".env", "K=1")]);
        let new =
            tree(at, "2", &[("VERSION", "v2"), ("c.yaml", "new"), ("conf/a", "a2"), ("conf/b", "b2"), (".env", "K=2")]);
        let root = tree(
            at,
            "tree",
            &[("VERSION", "v3"), ("c.yaml", "edited"), ("conf/a", "a2"), (".env", "K=3"), ("data", "d")],
        );
        let aside = at.join("aside");
        let layers = Layers { staged: &old, known: &[new], unpacked: None };
        let laid = lay(&layers, &root, &[], ["VERSION", ".env"], &aside).unwrap();
        assert_eq!(laid, Laid { changed: true, aside: vec!["c.yaml".to_owned()], ..Laid::default() });
        for (file, text) in
            [("VERSION", "v1"), ("c.yaml", "old"), ("conf/a", "a1"), ("conf/b", "b1"), (".env", "K=3"), ("data", "d")]
        {
            assert_eq!(fs::read_to_string(root.join(file)).unwrap(), text, "{file}");
        }
        assert_eq!(fs::read_to_string(aside.join("c.yaml")).unwrap(), "edited");
        assert_eq!(
            lay(&layers, &root, &[], ["VERSION", ".env"], &aside).unwrap(),
            Laid::default(),
            "done twice it does nothing"
        );
    }

    #[test]
    fn nothing_is_written_through_a_link_that_leads_out_of_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let old = tree(at, "1", &[("a.conf", "ours"), ("conf/b", "ours"), ("in.conf", "ours")]);
        let host = tree(at, "host", &[("passwd", "host's"), ("etc/b", "host's")]);
        let root = tree(at, "tree", &[("real.conf", "theirs")]);
        std::os::unix::fs::symlink(host.join("passwd"), root.join("a.conf")).unwrap();
        std::os::unix::fs::symlink(host.join("etc"), root.join("conf")).unwrap();
        std::os::unix::fs::symlink("real.conf", root.join("in.conf")).unwrap();
        let layers = Layers { staged: &old, known: &[], unpacked: None };
        let laid = lay(&layers, &root, &[], ["VERSION", ".env"], &at.join("aside")).unwrap();
        assert_eq!(laid.outside, ["conf/b"]);
        assert_eq!(fs::read_to_string(host.join("passwd")).unwrap(), "host's");
        assert_eq!(fs::read_to_string(host.join("etc/b")).unwrap(), "host's");
        assert!(!root.join("a.conf").is_symlink() && root.join("in.conf").is_symlink());
        for file in ["a.conf", "in.conf"] {
            assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "ours", "{file}");
        }
    }

    #[test]
    fn what_a_service_may_have_written_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let old = tree(dir.path(), "1", &[("app.db", "rows of then"), ("nginx.conf", "one")]);
        let new = tree(dir.path(), "2", &[("app.db", "rows of the update"), ("nginx.conf", "two")]);
        let root = tree(dir.path(), "tree", &[("app.db", "rows of today"), ("nginx.conf", "two")]);
        let writable = ["app.db".to_owned(), "nginx.conf".to_owned()];
        let layers = Layers { staged: &old, known: &[], unpacked: Some(&new) };
        let laid = lay(&layers, &root, &writable, ["VERSION", ".env"], &dir.path().join("aside")).unwrap();
        assert_eq!(
            laid,
            Laid {
                changed: true,
                aside: vec!["nginx.conf".to_owned()],
                left: vec!["app.db".to_owned()],
                ..Laid::default()
            }
        );
        assert_eq!(fs::read_to_string(root.join("app.db")).unwrap(), "rows of today");
        assert_eq!(
            fs::read_to_string(root.join("nginx.conf")).unwrap(),
            "one",
            "nobody touched it since it was unpacked"
        );
    }
}
