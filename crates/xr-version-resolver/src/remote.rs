//! What the remote has, asked in one process; and fetching one release of it.

use std::{collections::BTreeMap, sync::PoisonError, thread::JoinHandle, time::SystemTime};

use xr_model::{Fault, Result, Version, exit};

use crate::{Checkout, Source, config::Config, refs};

/// A tag that is a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `refs/tags/`.
    pub name: String,
    /// The version that the name spells.
    pub version: Version,
    /// The object it names: of an annotated tag, the tag object.
    pub object: String,
    /// The commit it leads to.
    pub commit: String,
}

/// The refs of a remote that concern releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRefs {
    /// The remote's name; empty when the refs are this clone's own.
    pub remote: String,
    /// The branch that is followed, and its tip.
    pub branch: Option<(String, String)>,
    /// The branch that should be followed and is no more, and the one that the remote has by default.
    pub gone: Option<(String, String)>,
    /// Tags that are versions, in no particular order; other tags are ignored.
    pub tags: Vec<Tag>,
}

impl Checkout {
    /// The remote that releases come from: the upstream of the branch checked out, else `origin`, else the only one.
    ///
    /// # Errors
    /// When `.git/config` cannot be read, or several remotes leave the choice open.
    pub fn remote(&self) -> Result<Option<String>> {
        let branch = self.head().ok().and_then(|head| head.branch);
        self.remote_of(&self.config()?, branch.as_deref())
    }

    /// The remote that `branch` follows by the repository's settings, else the one that every repository has.
    fn remote_of(&self, config: &Config, branch: Option<&str>) -> Result<Option<String>> {
        if let Some((remote, _)) = branch.and_then(|branch| config.upstreams.get(branch)) {
            return Ok(Some(remote.clone()));
        }
        let names: Vec<&String> = config.remotes.keys().collect();
        match names.as_slice() {
            [] => Ok(None),
            _ if config.remotes.contains_key("origin") => Ok(Some("origin".to_owned())),
            [only] => Ok(Some((*only).clone())),
            several => {
                Err(Fault::new(format!("{}: {} remotes and none is `origin`", self.root.display(), several.len()))
                    .hint(format!(
                        "git -C {} branch --set-upstream-to={}/main",
                        xr_model::shell(&self.root),
                        several[0]
                    )))
            }
        }
    }

    /// Asks the remote for its version tags and the tip of a branch: `branch` when given, else what the branch checked
    /// out follows, else the remote's default. Exactly one child process.
    ///
    /// # Errors
    /// When there is no remote, or it does not answer (`exit::TRY_LATER`) or refuses.
    pub fn ls_remote(&self, branch: Option<&str>) -> Result<RemoteRefs> {
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| branch.is_none());
        match early.map(JoinHandle::join) {
            Some(Ok(answer)) => answer,
            _ => self.ask(branch),
        }
    }

    /// Begins to ask, so that the answer is there when [`Checkout::ls_remote`] wants it: the remote is what an update that
    /// finds nothing new waits for.
    pub fn ask_early(&self) {
        let this = self.clone();
        let asking = std::thread::spawn(move || this.ask(None));
        *self.early.lock().unwrap_or_else(PoisonError::into_inner) = Some(asking);
    }

    fn ask(&self, branch: Option<&str>) -> Result<RemoteRefs> {
        let root = xr_model::shell(&self.root);
        let (config, current) = (self.config()?, self.head().ok().and_then(|head| head.branch));
        let Some(remote) = self.remote_of(&config, current.as_deref())? else {
            return Err(Fault::new(format!("the git repository {root} has no remote to ask for releases"))
                .hint(format!("git -C {root} remote add origin URL")));
        };
        let upstream = current
            .as_ref()
            .and_then(|name| config.upstreams.get(name))
            .and_then(|(_, full)| full.strip_prefix("refs/heads/"));
        let named = branch.is_some();
        let wanted = branch.or(upstream);
        let mut args = vec!["ls-remote".to_owned(), "--symref".to_owned()];
        if wanted.is_some() {
            // The server then leaves out what may be ten thousands of pull requests.
            args.extend(["--heads".to_owned(), "--tags".to_owned()]);
        }
        args.extend([remote.clone(), "HEAD".to_owned(), "refs/tags/*".to_owned()]);
        let candidate = wanted.map(str::to_owned).or(current);
        args.extend(candidate.iter().map(|name| format!("refs/heads/{name}")));
        let cmd = self.git_remote(args);
        let output = cmd.run()?;
        if output.code != 0 {
            return Err(self.remote_fault(&remote, &cmd, &output));
        }
        let listed = Listed::parse(&output.text());
        let branch = match wanted {
            Some(name) => Some(name.to_owned()),
            None => candidate.filter(|name| listed.branches.contains_key(name)).or(listed.default.clone()),
        };
        let tip = |name: &String| listed.branches.get(name).or(listed.head.as_ref()).cloned();
        let followed = branch.as_ref().and_then(|name| tip(name).map(|tip| (name.clone(), tip)));
        // What this clone comes from had a branch and a commit.
        let gone = match branch.filter(|_| followed.is_none() && !named) {
            Some(name) => self.default_branch(&remote)?.map(|default| (name, default)),
            None if followed.is_none() && !named && listed.tags.is_empty() => {
                self.default_branch(&remote)?;
                None
            }
            None => None,
        };
        let branch = followed;
        Ok(RemoteRefs { remote, branch, gone, tags: listed.tags })
    }

    /// The branch that the remote has by default.
    ///
    /// # Errors
    /// When the remote does not answer, or names no commit at all: this clone comes from it, so it was not always so.
    fn default_branch(&self, remote: &str) -> Result<Option<String>> {
        let cmd = self.git_remote(["ls-remote", "--symref", remote, "HEAD"]);
        let output = cmd.run()?;
        if output.code != 0 {
            return Err(self.remote_fault(remote, &cmd, &output));
        }
        let listed = Listed::parse(&output.text());
        if listed.head.is_none() {
            return Err(Fault::new(format!("`{remote}` answered, and named neither a branch nor a tag"))
                .hint(format!("git -C {} ls-remote {remote}", xr_model::shell(&self.root)))
                .code(exit::TRY_LATER));
        }
        Ok(listed.default)
    }

    /// Brings the commit of `source` into this clone, touching neither the work tree nor the admin's refs: it is kept
    /// under `refs/xr/`. No network when the commit is already here. A shallow clone stays shallow.
    ///
    /// # Errors
    /// When the remote does not answer, or has moved `source` to another commit in the meantime.
    pub fn fetch(&self, source: &Source, commit: &str) -> Result<()> {
        let (from, keep) = match source {
            Source::Tag(name) => (format!("refs/tags/{name}"), kept_tag(name, commit)),
            Source::Branch(name) => (format!("refs/heads/{name}"), format!("refs/xr/branches/{commit}")),
            Source::Head | Source::Bundle => return Ok(()),
        };
        if refs::read(&self.common_dir, &keep).is_some() || self.keep(&keep, commit)? {
            return Ok(());
        }
        let Some(remote) = self.remote()? else {
            return Err(Fault::new(format!(
                "commit {} is not in {} and there is no remote",
                refs::short(commit),
                self.root.display()
            ))
            .hint(format!("git -C {} remote add origin URL", xr_model::shell(&self.root))));
        };
        // Progress is what shows that a large fetch is alive.
        let mut args = vec!["fetch", "--progress", "--no-tags", "--no-recurse-submodules"];
        if self.head()?.shallow {
            // `--refmap=` leaves origin/main where it is: else the commit checked out would look like the admin's own.
            args.extend(["--depth=1", "--refmap="]);
        }
        let refspec = format!("+{from}:{keep}");
        args.extend([remote.as_str(), &refspec]);
        let cmd = self.git_remote(args).own_group();
        let begun = SystemTime::now();
        let output = cmd.run()?;
        if output.code != 0 {
            self.sweep_packs(begun);
            return Err(self.remote_fault(&remote, &cmd, &output));
        }
        let peeled = format!("{keep}^{{commit}}");
        let got = self.must("read what was fetched", &self.git(["rev-parse", "-q", "--verify", &peeled]))?.text();
        if got != commit && !self.keep(&keep, commit)? {
            self.must("drop what was fetched", &self.git(["update-ref", "-d", &keep]))?;
            return Err(Fault::new(format!(
                "`{remote}` moved {from} to {} while it was being fetched",
                refs::short(&got)
            ))
            .hint("run the same command again")
            .code(exit::TRY_LATER));
        }
        Ok(())
    }

    /// Keeps a commit as `name` when it is here with everything that it leads to: of a fetch that broke off, the commit may be
    /// here without its files. Git asks the same after a fetch.
    fn keep(&self, name: &str, commit: &str) -> Result<bool> {
        let whole = ["rev-list", "--quiet", "--objects", "--exclude-promisor-objects", commit, "--not", "--all", "--"];
        Ok(self.git(whole).run()?.code == 0 && self.git(["update-ref", name, commit]).run()?.code == 0)
    }

    /// Whether `commit` is among what `tip` was made from. A shallow clone does not know, and is not asked.
    ///
    /// # Errors
    /// When git cannot be run.
    pub(crate) fn leads_to(&self, commit: &str, tip: &str) -> Result<bool> {
        if self.head()?.shallow {
            return Ok(true);
        }
        Ok(self.git(["merge-base", "--is-ancestor", commit, tip]).run()?.code != 1)
    }

    /// Brings the tag object `name` here, whatever it points at by now, and keeps it at `keep`.
    pub(crate) fn fetch_tag(&self, name: &str, keep: &str) -> Result<()> {
        let Some(remote) = self.remote()? else { return Ok(()) };
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--refmap="];
        if self.head()?.shallow {
            args.push("--depth=1");
        }
        let refspec = format!("+refs/tags/{name}:{keep}");
        args.extend([remote.as_str(), &refspec]);
        let cmd = self.git_remote(args).own_group();
        let output = cmd.run()?;
        if output.code == 0 { Ok(()) } else { Err(self.remote_fault(&remote, &cmd, &output)) }
    }

    /// Whether this clone knew `tag` by another object or commit than the remote's now; files only.
    pub(crate) fn knew_otherwise(&self, tag: &Tag, current: Option<&str>) -> bool {
        let before =
            |commit: &str| commit != tag.commit && refs::read(&self.common_dir, &kept_tag(&tag.name, commit)).is_some();
        let own = refs::read(&self.common_dir, &format!("refs/tags/{}", tag.name));
        own.is_some_and(|object| object != tag.object) || current.is_some_and(before)
    }

    /// The version tags of this clone itself, `extra` arguments narrowing them; one process.
    pub(crate) fn local_tags(&self, extra: &[&str]) -> Result<Vec<Tag>> {
        let mut args = vec!["for-each-ref", "--format=%(objectname)%09%(*objectname)%09%(refname)"];
        args.extend(extra);
        args.extend(["refs/tags", "refs/xr/tags"]);
        let text = self.must("list tags", &self.git(args))?.text();
        let tag = |line: &str| {
            let mut fields = line.split('\t');
            let (object, peeled, name) = (fields.next()?, fields.next()?, fields.next()?);
            let name = name
                .strip_prefix("refs/tags/")
                .or_else(|| Some(name.strip_prefix("refs/xr/tags/")?.rsplit_once('/')?.0))?;
            let commit = if peeled.is_empty() { object } else { peeled };
            Some(Tag {
                name: name.to_owned(),
                version: name.parse().ok()?,
                object: object.to_owned(),
                commit: commit.to_owned(),
            })
        };
        Ok(text.lines().filter_map(tag).collect())
    }
}

/// Where a fetched tag is kept: by commit, so that a re-pushed tag does not erase what it was.
pub(crate) fn kept_tag(name: &str, commit: &str) -> String {
    format!("refs/xr/tags/{name}/{commit}")
}

/// What `git ls-remote --symref` printed.
#[derive(Debug, Default)]
struct Listed {
    default: Option<String>,
    head: Option<String>,
    branches: BTreeMap<String, String>,
    tags: Vec<Tag>,
}

impl Listed {
    fn parse(text: &str) -> Self {
        let mut listed = Self::default();
        let mut commits = BTreeMap::new();
        for (value, name) in text.lines().filter_map(|line| line.split_once('\t')) {
            if let Some(target) = value.strip_prefix("ref: ") {
                if name == "HEAD" {
                    listed.default = target.strip_prefix("refs/heads/").map(str::to_owned);
                }
            } else if name == "HEAD" {
                listed.head = Some(value.to_owned());
            } else if let Some(branch) = name.strip_prefix("refs/heads/") {
                listed.branches.insert(branch.to_owned(), value.to_owned());
            } else if let Some(peeled) = name.strip_prefix("refs/tags/").and_then(|tag| tag.strip_suffix("^{}")) {
                commits.insert(peeled.to_owned(), value.to_owned());
            } else if let Some(tag) = name.strip_prefix("refs/tags/")
                && let Ok(version) = tag.parse()
            {
                listed.tags.push(Tag {
                    name: tag.to_owned(),
                    version,
                    object: value.to_owned(),
                    commit: value.to_owned(),
                });
            }
        }
        for tag in &mut listed.tags {
            if let Some(commit) = commits.remove(&tag.name) {
                tag.commit = commit;
            }
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_an_option_a_path_or_a_command_is_no_release() {
        for name in ["--upload-pack=x", "-x", "v1.0.0$(x)", "../v1.0.0", "v1.0.0/../../x", "v1.0.0\x1b[2J", "v1.0.0;x"]
        {
            assert_eq!(Listed::parse(&format!("111\trefs/tags/{name}\n")).tags, [], "{name}");
        }
    }

    #[test]
    fn annotated_tags_lead_to_commits_and_other_tags_are_ignored() {
        let listed = Listed::parse(
            "ref: refs/heads/trunk\tHEAD\naaa\tHEAD\naaa\trefs/heads/trunk\nbbb\trefs/heads/x/refs/tags/v9.0.0\n\
             111\trefs/tags/v1.0.0\n222\trefs/tags/v1.1.0\n333\trefs/tags/v1.1.0^{}\n444\trefs/tags/latest\n555\trefs/tags/docs/v1.0.0",
        );
        assert_eq!(listed.default.as_deref(), Some("trunk"));
        assert_eq!(listed.branches["trunk"], "aaa");
        let tags: Vec<_> =
            listed.tags.iter().map(|t| (t.name.as_str(), t.object.as_str(), t.commit.as_str())).collect();
        assert_eq!(tags, [("v1.0.0", "111", "111"), ("v1.1.0", "222", "333")]);
    }
}
