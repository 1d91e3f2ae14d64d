//! The command line. Help, version and completions touch nothing and need no stack.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use xr_model::Version;

use crate::commands;

/// One version, everywhere: install, update, roll back and examine a Docker Compose stack.
#[derive(Debug, Parser)]
#[command(name = "xr", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Args {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The stack's folder; else the nearest one from here upwards
    #[arg(long, global = true, env = "XR_STACK", value_name = "DIR")]
    pub stack: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// How progress is shown, on standard error
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto, value_name = "HOW")]
    pub progress: Progress,
    /// Say less: errors and results only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more (-vv: every command and API call)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Answer yes to every question but the deletion of data
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// When another run is under way, wait for its end up to this long, for example 10m
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, else `plain`
    Auto,
    /// Bars
    Tty,
    /// A line for each change
    Plain,
    /// One JSON event a line, the first of kind `start`
    Json,
    /// Nothing
    Quiet,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this host run the stack, from nothing if need be; run again, it changes only what differs
    Install(Install),
    /// Bring the stack to the newest release; the old version serves until the new one is healthy
    Update(Update),
    /// Go back to the generation before, or to any kept one; needs no network
    Rollback(Rollback),
    /// End a run that was killed, so that the old version serves or the new one; any other command does so too
    Recover(commands::recover::Recover),
    /// Say what is wrong and what mends it; --fix makes the safe repairs
    Doctor(commands::doctor::Doctor),
    /// What serves, and how it is
    Status(commands::status::Status),
    /// Every run that was made here, and the generations to go back to
    History(commands::history::History),
    /// Bring up what the present generation says, dependencies first
    Start(commands::start::Start),
    /// Stop all containers of the stack and keep them
    Stop(commands::stop::Stop),
    /// Apply changed settings and restart the rest, dependencies first
    Restart(commands::restart::Restart),
    /// Remove the stack from this host; data only when asked for by name
    Uninstall(commands::uninstall::Uninstall),
    /// Remove old generations, old backups and images that nothing needs
    Prune(commands::prune::Prune),
    /// Hosts beside this one: add, list, bring up to date, remove
    Worker(commands::worker::Worker),
    /// Run a task in the worker image at the stack's version, on the host that has most to give
    Run(commands::task::RunTask),
    /// Read, change and check the settings in .env
    Env(commands::env::Env),
    /// Write an xr.toml that describes this compose project
    Init(commands::init::Init),
    /// Print the script that teaches a shell to complete xr's commands, versions and generations
    Completions(commands::completions::Completions),
    /// What xr starts itself to outlive a run
    #[command(hide = true)]
    Guard(commands::guard::Guard),
}

impl Command {
    /// Whether its words are all it is run for: it changes nothing here.
    pub fn is_query(&self) -> bool {
        match self {
            Self::Install(Install { run, .. })
            | Self::Update(Update { run, .. })
            | Self::Rollback(Rollback { run, .. }) => run.dry_run,
            Self::Start(start) => start.dry_run,
            Self::Stop(stop) => stop.dry_run,
            Self::Restart(restart) => restart.dry_run,
            Self::Prune(prune) => prune.dry_run,
            Self::Uninstall(uninstall) => uninstall.dry_run,
            Self::Doctor(doctor) => !doctor.fix,
            Self::Init(init) => init.print,
            Self::Env(env) => env.is_query(),
            Self::Worker(worker) => worker.is_query(),
            Self::Status(_) | Self::History(_) | Self::Completions(_) => true,
            Self::Recover(_) | Self::Guard(_) | Self::Run(_) => false,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed
        .and_then(|length| Duration::try_from(length).ok())
        .ok_or_else(|| "not a duration such as 30s or 10m".to_owned())
}

/// `xr install`
#[derive(Debug, ClapArgs)]
pub struct Install {
    /// Install this version rather than the tree's own
    #[arg(long, value_name = "V", add = ArgValueCandidates::new(commands::complete::versions))]
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
#[derive(Debug, ClapArgs)]
pub struct Update {
    /// This version rather than the newest
    #[arg(long, value_name = "V", add = ArgValueCandidates::new(commands::complete::versions))]
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
#[derive(Debug, ClapArgs)]
pub struct Rollback {
    /// To the newest generation of this version
    #[arg(long, value_name = "V", conflicts_with = "generation", add = ArgValueCandidates::new(commands::complete::kept_versions))]
    pub to: Option<Version>,
    /// To this generation (`xr history` lists them)
    #[arg(long, value_name = "N", add = ArgValueCandidates::new(commands::complete::generations))]
    pub generation: Option<u32>,
    /// Put back the data too, as that generation left them: what was written since is lost, but for a backup that is
    /// taken first
    #[arg(long, conflicts_with = "no_backup")]
    pub restore_data: bool,
    #[command(flatten)]
    pub run: Run,
}

/// Options of every command that changes the stack.
#[derive(Clone, Copy, Debug, ClapArgs)]
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
