//! Moving the work tree to a release.

use std::{fs, io, path::PathBuf};

use xr_model::{Fault, Result};

use crate::{Checkout, Head, local_work::Way};

/// Files in `.git` that say that the admin is in the middle of something.
const UNFINISHED: [(&str, &str); 5] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
];

impl Checkout {
    /// Puts the work tree at `commit`, on `branch` (moving it there; its upstream stays), or, when `None`, as HEAD is
    /// now: on the same branch, or detached. Files at the `managed` paths are left as they are, whatever `commit` has
    /// there: their owner writes them. Doing it again is a no-op; so is finishing one that was interrupted.
    ///
    /// # Errors
    /// Before anything is changed: when commits or file contents would be lost that are nowhere else, when a merge is
    /// unfinished, or when a git lock is left behind. Afterwards only when git fails.
    pub fn switch(&self, commit: &str, branch: Option<&str>, managed: &[&str]) -> Result<()> {
        self.go(commit, branch, managed, None)
    }

    /// As [`Checkout::switch`], after one to the commit `left` that may have been interrupted: what it has put there is
    /// nobody's work.
    ///
    /// # Errors
    /// As [`Checkout::switch`].
    pub fn switch_back(&self, commit: &str, branch: Option<&str>, managed: &[&str], left: Option<&str>) -> Result<()> {
        self.go(commit, branch, managed, left)
    }

    fn go(&self, commit: &str, branch: Option<&str>, managed: &[&str], left: Option<&str>) -> Result<()> {
        let head = self.head()?;
        let way = self.free_way(&head, commit, branch, managed, left)?;
        let branch = branch.or(head.branch.as_deref());
        if head.commit == commit && head.branch.as_deref() == branch && way.keep.is_empty() && way.restore.is_empty() {
            return self.move_submodules(commit);
        }
        self.take_into_index(&way, commit)?;
        self.git(["update-index", "-q", "--refresh"]).own_group().run()?; // a copied or chowned tree looks changed until then
        // Not `git checkout`: from the index as prepared, not from HEAD, so that nothing is removed that a release
        // merely stopped tracking.
        let from = self.must("read the index", &self.git(["write-tree"]))?.text();
        self.must("switch to the release", &self.git(["read-tree", "-m", "-u", &from, commit]).own_group())?;
        self.restore(&way)?;
        self.move_submodules(commit)?;
        self.point_head(head.branch.as_deref(), branch, commit)
    }

    /// Whether [`Checkout::switch`] would go through, asked before anything moves. A detached HEAD must be at something
    /// that tags, remotes or an earlier run know: what else it holds, nobody else has.
    ///
    /// # Errors
    /// As [`Checkout::switch`] before anything is changed.
    pub fn refuse_switch(&self, commit: &str, managed: &[&str]) -> Result<()> {
        let head = self.head()?;
        if head.branch.is_none() {
            self.refuse_unknown_head(&head)?;
        }
        self.free_way(&head, commit, head.branch.as_deref(), managed, None).map(drop)
    }

    /// Whether git's index is locked: by a git at work, or by one that was killed.
    pub fn is_locked(&self) -> bool {
        self.index_lock().symlink_metadata().is_ok()
    }

    /// Removes git's lock on the index, if there is one. The caller knows that a git which xr started left it, and that
    /// it has ended.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_lock(&self) -> Result<()> {
        let lock = self.index_lock();
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Fault::new(format!("cannot remove {}", lock.display())).because(error))
            }
            _ => Ok(()),
        }
    }

    fn index_lock(&self) -> PathBuf {
        self.git_dir.join("index.lock")
    }

    fn free_way(
        &self,
        head: &Head,
        commit: &str,
        branch: Option<&str>,
        managed: &[&str],
        left: Option<&str>,
    ) -> Result<Way> {
        self.refuse_unfinished()?;
        self.refuse_local_commits(head, branch, commit)?;
        let way = self.clear_way(commit, managed, left)?;
        if !way.changed.is_empty() {
            return Err(self.changed_fault("local changes in", &way.changed, "stash"));
        }
        if let Some(first) = way.untracked.first() {
            let fault = self.changed_fault("files of yours that the release would overwrite in", &way.untracked, "");
            return Err(fault.hint(format!("mv {0} {0}.mine", xr_model::shell(&self.root.join(first)))));
        }
        Ok(way)
    }

    /// Moves `branch` to `commit` and HEAD to `branch`; without one, HEAD itself.
    fn point_head(&self, now: Option<&str>, branch: Option<&str>, commit: &str) -> Result<()> {
        let Some(name) = branch else {
            return self
                .must("move HEAD", &self.git(["update-ref", "-m", "xr: switch", "--no-deref", "HEAD", commit]))
                .map(drop);
        };
        let full = format!("refs/heads/{name}");
        self.must("move the branch", &self.git(["update-ref", "-m", "xr: switch", &full, commit]))?;
        if now != branch {
            self.must("move HEAD", &self.git(["symbolic-ref", "-m", "xr: switch", "HEAD", &full]))?;
        }
        Ok(())
    }

    fn refuse_unfinished(&self) -> Result<()> {
        let lock = self.index_lock();
        if lock.exists() {
            return Err(self.lock_fault(&lock.display().to_string()));
        }
        for (file, what) in UNFINISHED {
            if self.git_dir.join(file).exists() {
                let root = xr_model::shell(&self.root);
                return Err(Fault::new(format!("a {what} is unfinished in {root}"))
                    .hint(format!("git -C {root} {what} --abort")));
            }
        }
        Ok(())
    }

    /// Gives the index the commit's entries of the files in the way: git then leaves those files alone.
    fn take_into_index(&self, way: &Way, commit: &str) -> Result<()> {
        let gone = "0".repeat(commit.len());
        let lines: String = way
            .keep
            .iter()
            .chain(&way.restore)
            .map(|path| match way.target.get(path) {
                Some(entry) => format!("{} {} 0\t{path}\0", entry.mode, entry.object),
                None => format!("0 {gone} 0\t{path}\0"),
            })
            .collect();
        if !lines.is_empty() {
            self.must("prepare the index", &self.git(["update-index", "-z", "--index-info"]).stdin(lines).own_group())?;
        }
        Ok(())
    }

    /// Puts the commit's content at the paths that an interrupted switch left with another release's.
    fn restore(&self, way: &Way) -> Result<()> {
        let (there, gone): (Vec<&String>, Vec<&String>) =
            way.restore.iter().partition(|path| way.target.contains_key(*path));
        if !there.is_empty() {
            let lines: String = there.iter().map(|path| format!("{path}\0")).collect();
            self.must("restore files", &self.git(["checkout-index", "--force", "-u", "-z", "--stdin"]).stdin(lines))?;
        }
        for path in gone {
            let file = self.root.join(path);
            if file.symlink_metadata().is_ok() {
                fs::remove_file(&file).map_err(Fault::at(format!("cannot remove {}", file.display())))?;
            }
        }
        Ok(())
    }
}
