//! The options of the commands that move the stack from one version to another.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use xr_model::Version;

use super::complete;

/// `xr install`
#[derive(Debug, Args)]
pub struct Install {
    /// Install this version rather than the tree's own
    #[arg(long, value_name = "V", add = ArgValueCandidates::new(complete::versions))]
    pub version: Option<Version>,
    /// Build the images here, with the dev compose file
    #[arg(long)]
    pub dev: bool,
    /// Leave out a service or an optional group (repeatable); `--without ''` takes all in again
    #[arg(long, value_name = "SERVICE")]
    pub without: Option<Vec<String>>,
    /// The name or address under which others reach this host
    #[arg(long, value_name = "HOST")]
    pub public_host: Option<String>,
    /// Use a PostgreSQL outside of the stack
    #[arg(long, value_name = "HOST")]
    pub db_host: Option<String>,
    /// Its port
    #[arg(long, value_name = "PORT", requires = "db_host")]
    pub db_port: Option<u16>,
    /// Its user
    #[arg(long, value_name = "USER", requires = "db_host")]
    pub db_user: Option<String>,
    /// Its database
    #[arg(long, value_name = "NAME", requires = "db_host")]
    pub db_name: Option<String>,
    /// A file that holds its password (never the password itself: arguments can be read by every user)
    #[arg(long, value_name = "FILE", requires = "db_host")]
    pub db_password_file: Option<PathBuf>,
    /// Take the distribution's packages from this mirror when Docker has to be installed
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Begin with an empty volume or folder where a service's data were until now
    #[arg(long)]
    pub accept_empty_data: bool,
    /// Take over what runs under this project's name, made from a folder that is not on this host: a stack that was moved
    #[arg(long)]
    pub adopt: bool,
    /// A registry mirror for the Docker engine and for xr's own pulls (repeatable)
    #[arg(long, value_name = "URL")]
    pub registry_mirror: Vec<String>,
    /// A file with the publisher's public key (OpenPGP, SSH or minisign; repeatable): for this run no other key counts
    #[arg(long, value_name = "FILE")]
    pub trust_key: Vec<PathBuf>,
    #[command(flatten)]
    pub run: Run,
}

/// `xr update`
#[derive(Debug, Args)]
pub struct Update {
    /// This version rather than the newest
    #[arg(long, value_name = "V", add = ArgValueCandidates::new(complete::versions))]
    pub to: Option<Version>,
    /// Which releases to take, this once
    #[arg(long, value_enum, value_name = "CHANNEL")]
    pub channel: Option<Channel>,
    /// Only say whether there is an update: exit code 10 when there is, 0 when not
    #[arg(long)]
    pub check: bool,
    /// Accept a version older than the present one
    #[arg(long)]
    pub allow_downgrade: bool,
    /// Ask the registry again for tags that stayed the same (`postgres:15`, a tag that was re-pushed)
    #[arg(long)]
    pub refresh: bool,
    /// Take images that changed under their version
    #[arg(long)]
    pub accept_repushed: bool,
    /// Begin with an empty volume or folder where a service's data were until now
    #[arg(long)]
    pub accept_empty_data: bool,
    /// A file with the publisher's public key (OpenPGP, SSH or minisign; repeatable): for this run no other key counts
    #[arg(long, value_name = "FILE")]
    pub trust_key: Vec<PathBuf>,
    #[command(flatten)]
    pub run: Run,
}

/// `xr rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    /// To the newest generation of this version
    #[arg(long, value_name = "V", conflicts_with = "generation", add = ArgValueCandidates::new(complete::kept_versions))]
    pub to: Option<Version>,
    /// To this generation (`xr history` lists them)
    #[arg(long, value_name = "N", add = ArgValueCandidates::new(complete::generations))]
    pub generation: Option<u32>,
    /// Put back the data too, as that generation left them: what was written since is lost, but for a backup that is
    /// taken first
    #[arg(long, conflicts_with = "no_backup")]
    pub restore_data: bool,
    #[command(flatten)]
    pub run: Run,
}

/// Options of every command that changes the stack.
#[derive(Clone, Copy, Debug, Args)]
pub struct Run {
    /// Show what would be done and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Take no backup before the switch
    #[arg(long)]
    pub no_backup: bool,
}

/// Which releases to take.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Channel {
    /// Releases
    Stable,
    /// Pre-releases too
    Dev,
}
