//! A stack directory that is a git clone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use xr_host::{Identity, owner_of};
use xr_model::{Fault, Result, Version};

use crate::{
    RemoteRefs,
    config::{self, Config},
    refs,
};

/// How long a remote may make no progress, unless told.
const PATIENCE: Duration = Duration::from_secs(60);

/// A git work tree whose top is the stack directory.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub(crate) root: PathBuf,
    pub(crate) git_dir: PathBuf,
    /// Where refs, objects and config are; differs from `git_dir` in a linked work tree.
    pub(crate) common_dir: PathBuf,
    pub(crate) identity: Option<Identity>,
    pub(crate) env: Vec<(String, String)>,
    /// How long a remote may make no progress.
    pub(crate) patience: Duration,
    /// An answer that was asked for before anybody wants it.
    pub(crate) early: Arc<Mutex<Option<JoinHandle<Result<RemoteRefs>>>>>,
}

/// Where a checkout stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit checked out.
    pub commit: String,
    /// The branch checked out; `None`: detached.
    pub branch: Option<String>,
    /// Whether the clone is shallow.
    pub shallow: bool,
}

impl Checkout {
    /// The checkout at `root`; `None` when `root` has no `.git` of its own (an unpacked bundle, or a folder within
    /// somebody's larger repository). Starts no process.
    ///
    /// # Errors
    /// When `.git` is there but is unreadable or damaged.
    pub fn open(root: &Path) -> Result<Option<Self>> {
        let root = fs::canonicalize(root).map_err(Fault::at(format!("cannot open {}", root.display())))?;
        let dot_git = root.join(".git");
        let damaged = |what: &str| {
            Fault::new(format!("{} is damaged: {what}", dot_git.display()))
                .hint(format!("git -C {} status", xr_model::shell(&root)))
        };
        let meta = match fs::metadata(&dot_git) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::new(format!("cannot read {}", dot_git.display())).because(error)),
        };
        let git_dir = if meta.is_dir() {
            dot_git.clone()
        } else {
            let text = fs::read_to_string(&dot_git).map_err(Fault::at(format!("cannot read {}", dot_git.display())))?;
            let target = text.trim().strip_prefix("gitdir:").ok_or_else(|| damaged("expected `gitdir: PATH`"))?;
            root.join(target.trim())
        };
        if !git_dir.join("HEAD").is_file() {
            return Err(damaged(&format!("{} is missing", git_dir.join("HEAD").display())));
        }
        let common_dir = match fs::read_to_string(git_dir.join("commondir")) {
            Ok(text) => git_dir.join(text.trim()),
            Err(_) => git_dir.clone(),
        };
        let identity = owner_of(&root)?;
        Ok(Some(Self {
            root,
            git_dir,
            common_dir,
            identity,
            env: Vec::new(),
            patience: PATIENCE,
            early: Arc::default(),
        }))
    }

    /// Sets an environment variable for every git that is run here.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// How long a remote may make no progress before it counts as silent; a minute unless told.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The stack directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the checkout stands; read from git's files, a process only for unusual ref stores.
    ///
    /// # Errors
    /// When there is no commit yet, or `HEAD` is damaged.
    pub fn head(&self) -> Result<Head> {
        let file = self.git_dir.join("HEAD");
        let text = fs::read_to_string(&file).map_err(Fault::at(format!("cannot read {}", file.display())))?;
        let shallow = self.is_shallow();
        if refs::is_object_id(text.trim()) {
            return Ok(Head { commit: text.trim().to_owned(), branch: None, shallow });
        }
        if let Some(name) = text.trim().strip_prefix("ref: ")
            && let Some(branch) = name.strip_prefix("refs/heads/")
            && let Some(commit) = refs::read(&self.common_dir, name)
        {
            return Ok(Head { commit, branch: Some(branch.to_owned()), shallow });
        }
        self.ask_head(shallow)
    }

    fn ask_head(&self, shallow: bool) -> Result<Head> {
        let cmd = self.git(["rev-parse", "-q", "--verify", "HEAD^{commit}"]);
        let output = cmd.run()?;
        if output.code != 0 {
            if output.error_text().is_empty() || output.error_text().contains("Needed a single revision") {
                let root = xr_model::shell(&self.root);
                return Err(Fault::new(format!("the git repository {root} has no commit yet: it holds no release"))
                    .hint(format!("git -C {root} pull")));
            }
            return Err(self.local_fault("read HEAD", &cmd, &output));
        }
        let name = self.git(["symbolic-ref", "-q", "HEAD"]).run()?.text();
        Ok(Head { commit: output.text(), branch: name.strip_prefix("refs/heads/").map(str::to_owned), shallow })
    }

    fn is_shallow(&self) -> bool {
        fs::metadata(self.common_dir.join("shallow")).is_ok_and(|meta| meta.len() > 0)
    }

    /// `.git/config`, as far as xr needs it.
    pub(crate) fn config(&self) -> Result<Config> {
        let file = self.common_dir.join("config");
        let text = fs::read_to_string(&file).map_err(Fault::at(format!("cannot read {}", file.display())))?;
        Ok(config::parse(&text))
    }

    /// Every version that this clone has a tag of, newest first. Offline; one process.
    ///
    /// # Errors
    /// When git fails.
    pub fn local_versions(&self) -> Result<Vec<Version>> {
        let mut versions: Vec<Version> = self.local_tags(&[])?.into_iter().map(|tag| tag.version).collect();
        versions.sort_by(|a, b| b.cmp(a));
        versions.dedup();
        Ok(versions)
    }
}
