//! What is asked for.

use std::{collections::BTreeMap, path::PathBuf};

use xr_model::Version;
use xr_stack::Channel;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which command and its target.
    pub wanted: Wanted,
    /// Settings to put into `.env` (never secrets on a command line; the caller reads those elsewhere).
    pub set: BTreeMap<String, String>,
    /// Services or optional groups to leave out; none: as before.
    pub without: Option<Vec<String>>,
    /// Ask registries again for tags that stayed the same.
    pub refresh: bool,
    /// Take a version whose images changed since they were seen.
    pub accept_repushed: bool,
    /// Take over containers of the project that were made from a folder which is not on this host.
    pub adopt: bool,
    /// Let a service begin with an empty place where its data were.
    pub accept_empty_data: bool,
    /// Take no backup before the switch.
    pub no_backup: bool,
    /// Files with public keys that alone count for this run.
    pub trust_keys: Vec<PathBuf>,
    /// Only show the plan: nothing is built.
    pub dry_run: bool,
}

/// The command and its target.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Install, or bring what runs in line with the tree and `.env` as they are.
    Install {
        /// This version rather than the tree's.
        version: Option<Version>,
        /// Build the images here.
        dev: bool,
    },
    /// Follow the releases.
    Update {
        /// This version.
        to: Option<Version>,
        /// This channel rather than the site's.
        channel: Option<Channel>,
        /// An older version may be the answer.
        allow_downgrade: bool,
    },
    /// Back to a generation.
    Rollback {
        /// Its number; none: the one before.
        generation: Option<u32>,
        /// The newest generation of this version.
        to: Option<Version>,
        /// Put back the data that it had, too.
        restore_data: bool,
    },
}
