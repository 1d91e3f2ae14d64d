//! VERSION and git: a few git calls, at once.

use std::path::Path;

use tokio::task::spawn_blocking;
use xr_host::{Cmd, owner_of};
use xr_model::{Fault, Version};
use xr_stack::Layout;
use xr_version_resolver::{Checkout, version_file};

use crate::facts::{Tree, Trouble};

pub(super) async fn read(root: &Path, layout: Option<&Layout>) -> Tree {
    let path = layout.map_or_else(|| root.join("VERSION"), Layout::version_path);
    let version = version_file::read(&path).map_err(Trouble::from);
    let mut tree = Tree {
        version,
        head: None,
        tags: Vec::new(),
        changed: Ok(Vec::new()),
        strayed: Vec::new(),
        absent: Vec::new(),
    };
    let checkout = match Checkout::open(root) {
        Ok(Some(checkout)) => checkout,
        Ok(None) => return tree,
        Err(fault) => {
            tree.head = Some(Err(fault.into()));
            return tree;
        }
    };
    let managed: Vec<String> = layout.map(|l| l.managed().map(str::to_owned).to_vec()).unwrap_or_default();
    let (other, third) = (checkout.clone(), checkout.clone());
    let changed = spawn_blocking(move || other.local_changes(&managed.iter().map(String::as_str).collect::<Vec<_>>()));
    let at = root.to_owned();
    let tags = spawn_blocking(move || tags_at_head(&at));
    let strayed =
        spawn_blocking(move || third.misplaced_submodules().unwrap_or_else(|fault| (vec![fault.chain()], Vec::new())));
    let head = spawn_blocking(move || checkout.head());
    let (changed, tags, strayed, head) = tokio::join!(changed, tags, strayed, head);
    let died = |error| Err(Fault::new("a thread of the doctor died").because(error));
    tree.changed = changed.unwrap_or_else(died).map_err(Trouble::from);
    tree.tags = tags.unwrap_or_default();
    (tree.strayed, tree.absent) = strayed.unwrap_or_default();
    tree.head = Some(
        head.unwrap_or_else(|error| Err(Fault::new("a thread of the doctor died").because(error)))
            .map_err(Trouble::from),
    );
    tree
}

/// The version tags at HEAD, the publisher's and those that xr fetched.
fn tags_at_head(root: &Path) -> Vec<Version> {
    let owner = owner_of(root).ok().flatten();
    let cmd = Cmd::new("git")
        .args(["for-each-ref", "--points-at", "HEAD", "--format=%(refname)", "refs/tags", "refs/xr/tags"])
        .cwd(root)
        .run_as(owner.as_ref())
        .env("GIT_OPTIONAL_LOCKS", "0");
    let text = cmd.run().map(|output| output.text()).unwrap_or_default();
    let mut tags: Vec<Version> = text.lines().filter_map(version_of).collect();
    tags.sort();
    tags.dedup();
    tags
}

/// `refs/tags/v1.0.0`, or xr's own `refs/xr/tags/v1.0.0/<commit>`.
fn version_of(name: &str) -> Option<Version> {
    let tag = match name.strip_prefix("refs/xr/tags/") {
        Some(kept) => kept.rsplit_once('/')?.0,
        None => name.strip_prefix("refs/tags/")?,
    };
    tag.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions_wherever_they_are_kept() {
        for (name, expect) in [
            ("refs/tags/v1.0.0", Some("v1.0.0")),
            ("refs/xr/tags/v1.0.0/0dcb85b4", Some("v1.0.0")),
            ("refs/tags/nightly", None),
            ("refs/heads/v1.0.0", None),
        ] {
            assert_eq!(version_of(name).as_ref().map(Version::as_str), expect, "{name}");
        }
    }
}
