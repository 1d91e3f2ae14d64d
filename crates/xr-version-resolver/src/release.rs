//! What is asked of the resolver, and what it answers.

use semver::VersionReq;
use xr_model::Version;

/// Which tags are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// Releases only.
    #[default]
    Stable,
    /// Pre-releases too.
    Dev,
}

/// What announces a new release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// Tags when the remote has any that is a version, else the branch.
    #[default]
    Auto,
    /// Version tags.
    Tags,
    /// The VERSION file at the tip of the branch.
    Branch,
}

/// The version installed now, and its commit when known.
pub type Current = (Version, Option<String>);

/// Which release is wanted, and what is installed.
#[derive(Clone, Debug)]
pub struct Request {
    /// Exactly this version (`1.1.0` also finds the tag `v1.1.0`, and the reverse).
    pub to: Option<Version>,
    /// Which tags count when no version is asked for.
    pub channel: Channel,
    /// What announces a new release.
    pub follow: Follow,
    /// The branch to follow; `None`: the upstream of the one checked out, else the remote's default.
    pub branch: Option<String>,
    /// What is installed now; `None`: nothing.
    pub current: Option<Current>,
    /// The path of the VERSION file in the stack directory.
    pub version_path: String,
    /// Whether an older version than the current one may be the answer.
    pub allow_downgrade: bool,
    /// Versions that may be chosen when none is asked for (`to` goes beyond it, with a note).
    pub constraint: Option<VersionReq>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            to: None,
            channel: Channel::default(),
            follow: Follow::default(),
            branch: None,
            current: None,
            version_path: "VERSION".to_owned(),
            allow_downgrade: false,
            constraint: None,
        }
    }
}

/// Where a release comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The tag of this name.
    Tag(String),
    /// The branch of this name.
    Branch(String),
    /// The commit checked out, on no branch.
    Head,
    /// The stack directory itself, unpacked from a bundle.
    Bundle,
}

/// The release to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Its version, spelled as its tag, else as its VERSION file. The current one when `unchanged`.
    pub version: Version,
    /// Its commit, present in the clone unless `unchanged`; `None` of a bundle.
    pub commit: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// What the admin should know.
    pub notes: Vec<String>,
    /// Nothing newer than the current version was found.
    pub unchanged: bool,
    /// The tag of the current version was re-pushed, or the branch was rewritten: the commit that it is at now, not fetched yet
    /// (`checkout.fetch(&resolution.source, commit)` does).
    pub moved: Option<String>,
}
