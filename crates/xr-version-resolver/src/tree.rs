//! The publisher's trees, read out of git's objects as they were committed: no attribute (`export-ignore`,
//! `export-subst`, line endings) changes them, which is why this is not `git archive`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink},
    path::{Component, Path, PathBuf},
};

use xr_host::Identity;
use xr_model::{Fault, Result};

use crate::{Checkout, refs};

/// How much is held in memory at once while a tree is written out.
const BATCH_BYTES: u64 = 32 << 20;

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub mode: String,
    pub object: String,
    pub size: u64,
    pub path: String,
}

impl Checkout {
    /// The file `path` of `commit`; `None` when the commit has no such file.
    ///
    /// # Errors
    /// When the commit is not in this clone.
    pub fn read(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let mut found = self.objects(&[format!("{commit}^{{commit}}"), format!("{commit}:{path}")])?;
        let file = found.pop().flatten();
        if found.pop().flatten().is_none() {
            return Err(Fault::new(format!("commit {} is not in {}", refs::short(commit), self.root.display()))
                .hint(format!("git -C {} fetch", xr_model::shell(&self.root))));
        }
        Ok(file)
    }

    /// Writes the files of `commit` below `paths` (all, when empty; paths it lacks are passed over) into the folder
    /// `into`, as the owner of the checkout. What is in their way there is replaced. Returns notes: what was left out.
    ///
    /// # Errors
    /// When the commit is not here, or `into` cannot be written.
    pub fn stage(&self, commit: &str, paths: &[&str], into: &Path) -> Result<Vec<String>> {
        let mut entries = self.list(commit, paths)?;
        let submodules = entries.extract_if(.., |entry| entry.mode == "160000");
        let notes = submodules.map(|entry| format!("{} is a git submodule and was left out", entry.path)).collect();
        entries.sort_by_key(|entry| entry.mode == "120000"); // links last: nothing is written through one
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&Entry| {
                bytes += entry.size;
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (batch, later) = rest.split_at(count);
            let names: Vec<String> = batch.iter().map(|entry| entry.object.clone()).collect();
            for (entry, content) in batch.iter().zip(self.objects(&names)?) {
                let content = content.ok_or_else(|| {
                    Fault::new(format!("{} of {commit} is missing in git", entry.path))
                        .hint(format!("git -C {} fsck --connectivity-only", xr_model::shell(&self.root)))
                })?;
                let target = into.join(&entry.path);
                write_entry(into, entry, &content, self.identity.as_ref())
                    .map_err(Fault::at(format!("cannot write {}", target.display())))?;
            }
            rest = later;
        }
        Ok(notes)
    }

    /// What `commit` has at these paths, files and folders, by git's id of the content; paths it lacks are left out.
    ///
    /// # Errors
    /// When the commit is not in this clone.
    pub fn ids(&self, commit: &str, paths: &[&str]) -> Result<BTreeMap<String, String>> {
        let args = ["ls-tree", "-z", "--full-tree", commit, "--"].into_iter().chain(paths.iter().copied());
        let output = self.must(&format!("look into {}", refs::short(commit)), &self.git(args))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `<mode> SP <type> SP <object> TAB <file>`, see git-ls-tree(1).
        let entries = text.split('\0').filter_map(|entry| entry.split_once('\t'));
        Ok(entries.filter_map(|(about, path)| Some((path.to_owned(), about.rsplit(' ').next()?.to_owned()))).collect())
    }

    /// The files of `commit` below `paths`.
    pub(crate) fn list(&self, commit: &str, paths: &[&str]) -> Result<Vec<Entry>> {
        let mut args = vec!["ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--"];
        args.extend(paths);
        let output = self.must(&format!("list the files of {}", refs::short(commit)), &self.git(args))?;
        let text = String::from_utf8(output.stdout).map_err(Fault::at(format!("a path of {commit} is not UTF-8")))?;
        let entry = |line: &str| {
            let (meta, path) = line.split_once('\t')?;
            let mut fields = meta.split_ascii_whitespace();
            let (mode, _, object, size) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            Some(Entry {
                mode: mode.to_owned(),
                object: object.to_owned(),
                size: size.parse().unwrap_or(0),
                path: path.to_owned(),
            })
        };
        Ok(text.split('\0').filter_map(entry).collect())
    }

    /// The contents of `names`, each `None` when there is no such object; one process.
    fn objects(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let cmd = self.git(["cat-file", "--batch"]).stdin(names.join("\n") + "\n");
        let output = self.must("read objects", &cmd)?;
        let torn = || Fault::new(format!("`git cat-file` in {} broke off", self.root.display()));
        let mut rest = output.stdout.as_slice();
        let mut found = Vec::with_capacity(names.len());
        for _ in names {
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(torn)?;
            let header = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            if header.ends_with(" missing") {
                found.push(None);
                continue;
            }
            let size: usize = header.rsplit(' ').next().and_then(|n| n.parse().ok()).ok_or_else(torn)?;
            let content = rest.get(..size).ok_or_else(torn)?;
            found.push(Some(content.to_vec()));
            rest = rest.get(size + 1..).ok_or_else(torn)?;
        }
        Ok(found)
    }
}

/// Writes one file or link below `into`.
fn write_entry(into: &Path, entry: &Entry, content: &[u8], owner: Option<&Identity>) -> std::io::Result<()> {
    let relative = Path::new(&entry.path);
    if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(std::io::Error::other("the path leads out of the tree"));
    }
    let give = |path: &Path| owner.map_or(Ok(()), |who| lchown(path, Some(who.uid), Some(who.gid)));
    let mut folder = PathBuf::from(into);
    for part in relative.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        if !fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
            remove(&folder)?;
            fs::create_dir_all(&folder)?;
            give(&folder)?;
        }
    }
    let target = into.join(relative);
    remove(&target)?;
    if entry.mode == "120000" {
        use std::os::unix::ffi::OsStrExt;
        symlink(std::ffi::OsStr::from_bytes(content), &target)?;
    } else {
        let mode = if entry.mode == "100755" { 0o755 } else { 0o644 };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
        file.write_all(content)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    give(&target)
}

/// Removes what is at `path`, following no link; nothing there is fine.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}
