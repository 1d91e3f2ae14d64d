//! Submodules move with the release that names their commits, and back with it. Git itself leaves them where they are.

use xr_model::{Fault, Result, exit};

use crate::{Checkout, refs::short};

/// A submodule of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submodule {
    /// Its path in the tree.
    pub path: String,
    /// The commit that the release has there.
    pub commit: String,
}

impl Checkout {
    /// The submodules of a commit.
    ///
    /// # Errors
    /// When the commit is not in this clone.
    pub fn submodules(&self, commit: &str) -> Result<Vec<Submodule>> {
        if self.ids(commit, &[".gitmodules"])?.is_empty() {
            return Ok(Vec::new());
        }
        let links = self.list(commit, &[])?.into_iter().filter(|entry| entry.mode == "160000");
        Ok(links.map(|entry| Submodule { path: entry.path, commit: entry.object }).collect())
    }

    /// Whether a submodule was ever fetched here: its folder is a clone of its own.
    pub fn has_submodule(&self, submodule: &Submodule) -> bool {
        self.root.join(&submodule.path).join(".git").exists()
    }

    /// Brings the commits of all submodules that are here, without moving any.
    ///
    /// # Errors
    /// When a remote does not answer, or does not have the commit.
    pub fn fetch_submodules(&self, commit: &str) -> Result<()> {
        for submodule in self.submodules(commit)? {
            let Some(inner) = self.inner(&submodule)? else { continue };
            if inner.has_commit(&submodule.commit)? {
                continue;
            }
            let Some(remote) = inner.remote()? else { continue };
            let fetch = |what: &str| {
                inner.git_remote(["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", remote.as_str(), what])
            };
            // A server may not give away a commit by its name, but what its branches lead to.
            let by_name = fetch(&submodule.commit).run()?;
            if by_name.code != 0 {
                let cmd = fetch("+refs/heads/*:refs/remotes/origin/*");
                let output = cmd.run()?;
                if output.code != 0 {
                    return Err(inner.remote_fault(&remote, &cmd, &output));
                }
            }
            if !inner.has_commit(&submodule.commit)? {
                return Err(Fault::new(format!(
                    "the submodule {} has no commit {}, which the release names",
                    submodule.path,
                    short(&submodule.commit)
                ))
                .hint(format!("git -C {} fetch {remote}", xr_model::shell(&inner.root)))
                .code(exit::TRY_LATER));
            }
            inner.fetch_submodules(&submodule.commit)?;
        }
        Ok(())
    }

    /// Has every submodule that is here stand where `commit` has it.
    pub(crate) fn move_submodules(&self, commit: &str) -> Result<()> {
        for submodule in self.submodules(commit)? {
            let Some(inner) = self.inner(&submodule)? else { continue };
            if inner.head()?.commit != submodule.commit {
                let checkout = inner.git(["checkout", "--quiet", "--detach", submodule.commit.as_str()]).own_group();
                inner.must(&format!("move the submodule {}", submodule.path), &checkout)?;
            }
            inner.move_submodules(&submodule.commit)?;
        }
        Ok(())
    }

    /// The submodules that do not stand where HEAD has them, a word on each, and the paths of those that are not here.
    ///
    /// # Errors
    /// When git does not answer.
    pub fn misplaced_submodules(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (mut strayed, mut absent) = (Vec::new(), Vec::new());
        for submodule in self.submodules("HEAD")? {
            let Submodule { path, commit } = &submodule;
            let Some(inner) = self.inner(&submodule)? else {
                absent.push(path.clone());
                continue;
            };
            let head = inner.head()?.commit;
            if head != *commit {
                strayed.push(format!("{path} stands at {}, not at {}", short(&head), short(commit)));
            }
            let (strayed_below, absent_below) = inner.misplaced_submodules()?;
            strayed.extend(strayed_below.into_iter().map(|word| format!("{path}/{word}")));
            absent.extend(absent_below.into_iter().map(|word| format!("{path}/{word}")));
        }
        Ok((strayed, absent))
    }

    fn inner(&self, submodule: &Submodule) -> Result<Option<Self>> {
        if !self.has_submodule(submodule) {
            return Ok(None);
        }
        let inner = Self::open(&self.root.join(&submodule.path))?;
        Ok(inner.map(|inner| {
            Self { identity: self.identity.clone(), env: self.env.clone(), ..inner }.patience(self.patience)
        }))
    }

    fn has_commit(&self, commit: &str) -> Result<bool> {
        Ok(self.git(["cat-file", "-e", &format!("{commit}^{{commit}}")]).run()?.code == 0)
    }
}
