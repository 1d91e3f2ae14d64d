//! What only this clone has and a switch must not lose: commits, changed files, files git does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use xr_model::{Fault, Result};

use crate::{Checkout, Head, changes::is_managed, refs, tree::Entry};

/// How the files in the way of a commit are dealt with.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Paths whose file stays exactly as it is, the index alone taking the commit's entry.
    pub keep: Vec<String>,
    /// Paths whose content the publisher has (or that are missing): the commit's file is put there.
    pub restore: Vec<String>,
    /// Changed tracked files whose content is nowhere else.
    pub changed: Vec<String>,
    /// The same of untracked files.
    pub untracked: Vec<String>,
    /// What the commit has at the paths above.
    pub target: BTreeMap<String, Entry>,
}

impl Checkout {
    /// Refuses when the commit checked out, or `branch`, holds commits that no remote, tag, other branch or
    /// `commit` has.
    pub(crate) fn refuse_local_commits(&self, head: &Head, branch: Option<&str>, commit: &str) -> Result<()> {
        let mut args = vec!["rev-list".to_owned(), "--max-count=50".to_owned(), head.commit.clone()];
        let branch = branch.or(head.branch.as_deref());
        if let Some(name) = branch {
            args.extend(refs::read(&self.common_dir, &format!("refs/heads/{name}")));
        }
        args.extend(["--not".to_owned(), commit.to_owned()]);
        args.extend(branch.map(|name| format!("--exclude={name}")));
        args.extend(["--branches", "--tags", "--remotes", "--glob=refs/xr"].map(str::to_owned));
        let text = self.must("look for local commits", &self.git(args))?.text();
        // The edge of a shallow clone came from a remote, whatever its refs say by now.
        let edge = fs::read_to_string(self.common_dir.join("shallow")).unwrap_or_default();
        let own: Vec<&str> = text.lines().filter(|line| !edge.lines().any(|known| known == *line)).collect();
        let Some(newest) = own.first() else { return Ok(()) };
        let root = xr_model::shell(&self.root);
        let place = branch.map_or_else(|| "the detached HEAD".to_owned(), |name| format!("branch {name}"));
        let count = if own.len() == 1 { "a commit".to_owned() } else { format!("{} commits", own.len()) };
        Err(Fault::new(format!(
            "{place} of {root} has {count} of its own, newest {}: an update would leave them behind",
            refs::short(newest)
        ))
        .hint(format!("git -C {root} branch keep-mine {newest}   # then again")))
    }

    /// Refuses to leave a detached HEAD at a commit that no tag, no remote branch and no earlier run knows.
    pub(crate) fn refuse_unknown_head(&self, head: &Head) -> Result<()> {
        let args = ["rev-list", "--max-count=1", &head.commit, "--not", "--tags", "--remotes", "--glob=refs/xr"];
        let text = self.must("look where HEAD is", &self.git(args))?.text();
        let edge = fs::read_to_string(self.common_dir.join("shallow")).unwrap_or_default();
        if text.trim().is_empty() || edge.lines().any(|known| known == text.trim()) {
            return Ok(());
        }
        let root = xr_model::shell(&self.root);
        Err(Fault::new(format!(
            "HEAD of {root} is detached at {}, which no tag and no remote branch knows",
            refs::short(&head.commit)
        ))
        .hint(format!("git -C {root} tag keep-mine {}   # to leave it behind safely, then again", head.commit)))
    }

    /// Untracked files, ignored ones too, that checking out `commit` would overwrite.
    ///
    /// # Errors
    /// When git fails.
    pub fn would_overwrite(&self, commit: &str) -> Result<Vec<String>> {
        self.overwritten(&self.list(commit, &[])?)
    }

    fn overwritten(&self, entries: &[Entry]) -> Result<Vec<String>> {
        let index = self.must("list tracked files", &self.git(["ls-files", "-z"]))?.stdout;
        let index = String::from_utf8_lossy(&index);
        let tracked: BTreeSet<&str> = index.split('\0').collect();
        let mut found = BTreeSet::new();
        for entry in entries.iter().filter(|entry| !tracked.contains(entry.path.as_str())) {
            let mut folders = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
            let in_the_way = folders.find(|path| {
                !tracked.contains(path) && fs::symlink_metadata(self.root.join(path)).is_ok_and(|meta| !meta.is_dir())
            });
            found.extend(in_the_way.map(str::to_owned));
            self.untracked_below(&entry.path, &tracked, &mut found);
        }
        Ok(found.into_iter().collect())
    }

    /// The untracked files in the folder `path`, should it be one: a release may put a file in its place.
    fn untracked_below(&self, path: &str, tracked: &BTreeSet<&str>, found: &mut BTreeSet<String>) {
        if !fs::symlink_metadata(self.root.join(path)).is_ok_and(|meta| meta.is_dir()) {
            if !tracked.contains(path) && fs::symlink_metadata(self.root.join(path)).is_ok() {
                found.insert(path.to_owned());
            }
            return;
        }
        for entry in fs::read_dir(self.root.join(path)).into_iter().flatten().flatten() {
            self.untracked_below(&format!("{path}/{}", entry.file_name().to_string_lossy()), tracked, found);
        }
    }

    /// Sorts out the files that stand between the work tree and `commit`.
    ///
    /// A file whose content some release has at that very path is nobody's work: an interrupted switch left it.
    pub(crate) fn clear_way(&self, commit: &str, managed: &[&str], left: Option<&str>) -> Result<Way> {
        let entries = self.list(commit, &[])?;
        let untracked = self.overwritten(&entries)?;
        let target: BTreeMap<String, Entry> = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let mut way = Way::default();
        let mut foreign = Vec::new();
        for path in self.local_changes(&[])?.into_iter().chain(untracked.iter().cloned()) {
            if is_managed(&path, managed) { way.keep.push(path) } else { foreign.push(path) }
        }
        foreign.sort();
        foreign.dedup();
        let published = self.published(&foreign, commit, left)?;
        for path in foreign {
            match (published.contains(&path), untracked.contains(&path)) {
                (true, _) => way.restore.push(path),
                (false, true) => way.untracked.push(path),
                (false, false) => way.changed.push(path),
            }
        }
        way.target =
            target.into_iter().filter(|(path, _)| way.keep.contains(path) || way.restore.contains(path)).collect();
        Ok(way)
    }

    /// Those of `paths` that are missing, or whose content HEAD, `commit`, the one `left` or a release fetched by xr has there.
    /// When going back from the one `left`, empty ones as well: a power cut leaves such files.
    fn published(&self, paths: &[String], commit: &str, left: Option<&str>) -> Result<BTreeSet<String>> {
        let meta = |path: &String| fs::symlink_metadata(self.root.join(path));
        let mut found: BTreeSet<String> = paths.iter().filter(|path| meta(path).is_err()).cloned().collect();
        let empty = |path: &&String| meta(path).is_ok_and(|meta| meta.is_file() && meta.len() == 0);
        found.extend(paths.iter().filter(|path| left.is_some() && empty(path)).cloned());
        let files: Vec<&String> =
            paths.iter().filter(|path| !path.contains('\n') && meta(path).is_ok_and(|meta| meta.is_file())).collect();
        if files.is_empty() {
            return Ok(found);
        }
        let mut list: String = files.iter().map(|path| format!("{path}\n")).collect();
        let hashes =
            self.must("hash local changes", &self.git(["hash-object", "--stdin-paths"]).stdin(list.clone()))?.text();
        let kept = ["for-each-ref", "--format=%(objectname)", "--sort=-creatordate", "--count=20", "refs/xr"];
        let kept = self.must("list fetched releases", &self.git(kept))?.text();
        let commits: Vec<&str> = ["HEAD", commit].into_iter().chain(left).chain(kept.lines()).collect();
        list.clear();
        for path in &files {
            list.extend(commits.iter().map(|commit| format!("{commit}:{path}\n")));
        }
        let cmd = self.git(["cat-file", "--batch-check=%(objectname)"]).stdin(list);
        let known = self.must("compare local changes", &cmd)?.text();
        let known: Vec<&str> = known.lines().collect();
        for ((path, hash), known) in files.iter().zip(hashes.lines()).zip(known.chunks(commits.len())) {
            if known.contains(&hash) {
                found.insert((*path).clone());
            }
        }
        Ok(found)
    }
}
