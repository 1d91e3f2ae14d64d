//! `xr worker`: the hosts beside this one.

mod add;
mod change;
mod exec;
mod import;
mod list;
mod sync;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use xr_model::Result;

pub use exec::tell;
pub use list::print;

use super::complete;
use crate::context::Context;

/// `xr worker`
#[derive(Debug, Args)]
pub struct Worker {
    #[command(subcommand)]
    pub what: What,
}

/// What is done with workers.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Make a host that answers ssh into a worker: look at it, install Docker when it is missing, start the agent
    Add(Add),
    /// All workers, as they are now
    List(List),
    /// One worker, with all that is known of it
    Show(Name),
    /// Take a worker's agent off its host and the worker off the list
    Remove(Remove),
    /// Give a worker no more tasks; it is left out of what runs count on
    Drain(Drain),
    /// Run a command on a worker's host
    Exec(Exec),
    /// What a worker's agent says
    Logs(Logs),
    /// Bring workers to the version that serves: those named, else all
    Sync(Sync),
    /// Add all workers of an inventory: TOML with [[workers]], or Ansible's INI
    Import(Import),
}

/// `xr worker add`
#[derive(Clone, Debug, Args)]
pub struct Add {
    /// As ssh takes it: user@host, a Host of ~/.ssh/config, ssh://user@host:port
    #[arg(value_name = "DESTINATION")]
    pub ssh: String,
    /// What it is called here; else its host's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A label for tasks to choose by, KEY=VALUE (repeatable)
    #[arg(long, value_name = "K=V", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Under which address it reaches the server; else as this host is seen from there
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The fingerprint that its host key must have (SHA256:…), instead of a question
    #[arg(long, value_name = "FINGERPRINT")]
    pub host_key: Option<String>,
    /// Where its images come from
    #[arg(long, value_enum, value_name = "WHERE")]
    pub images_from: Option<ImagesFrom>,
    /// Look at the host and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Where images come from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ImagesFrom {
    /// The registry; this host when the worker does not reach it
    Auto,
    /// The registry
    Registry,
    /// This host: only the layers that the worker lacks, through ssh
    Here,
}

impl From<ImagesFrom> for xr_stack::ImagesFrom {
    fn from(from: ImagesFrom) -> Self {
        match from {
            ImagesFrom::Auto => Self::Auto,
            ImagesFrom::Registry => Self::Registry,
            ImagesFrom::Here => Self::Here,
        }
    }
}

/// `xr worker list`
#[derive(Debug, Args)]
pub struct List {
    /// Only those with this label, KEY or KEY=VALUE (repeatable)
    #[arg(long, value_name = "K[=V]", value_parser = selector)]
    pub label: Vec<(String, Option<String>)>,
    /// Only what is written down; nobody is asked
    #[arg(long)]
    pub offline: bool,
}

/// A worker's name.
#[derive(Debug, Args)]
pub struct Name {
    /// Its name
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub name: String,
}

/// `xr worker remove`
#[derive(Debug, Args)]
pub struct Remove {
    /// Its name
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub name: String,
    /// Take it off the list even when its host does not answer: the agent stays there
    #[arg(long)]
    pub force: bool,
}

/// `xr worker drain`
#[derive(Debug, Args)]
pub struct Drain {
    /// Its name
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub name: String,
    /// Give it tasks again
    #[arg(long)]
    pub undo: bool,
}

/// `xr worker exec`
#[derive(Debug, Args)]
pub struct Exec {
    /// Its name
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub name: String,
    /// The command and its arguments; a shell when there is none
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `xr worker logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Its name
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub name: String,
    /// How many lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub tail: usize,
    /// Go on until interrupted
    #[arg(short, long)]
    pub follow: bool,
}

/// `xr worker sync`
#[derive(Debug, Args)]
pub struct Sync {
    /// Their names; all when none is given
    #[arg(add = ArgValueCandidates::new(complete::workers))]
    pub names: Vec<String>,
    /// Where images come from, this once
    #[arg(long, value_enum, value_name = "WHERE")]
    pub images_from: Option<ImagesFrom>,
}

/// `xr worker import`
#[derive(Debug, Args)]
pub struct Import {
    /// The inventory
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where their images come from
    #[arg(long, value_enum, value_name = "WHERE")]
    pub images_from: Option<ImagesFrom>,
    /// Look at the hosts and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Worker {
    /// Whether its words are all it is run for.
    pub fn is_query(&self) -> bool {
        match &self.what {
            What::List(_) | What::Show(_) | What::Logs(_) => true,
            What::Add(add) => add.dry_run,
            What::Import(import) => import.dry_run,
            What::Remove(_) | What::Drain(_) | What::Exec(_) | What::Sync(_) => false,
        }
    }
}

/// `xr worker`
///
/// # Errors
/// Whatever stopped it before anything changed.
pub async fn run(context: &Context, worker: &Worker) -> Result<u8> {
    match &worker.what {
        What::Add(add) => add::run(context, add).await,
        What::List(list) => list::list(context, list).await,
        What::Show(name) => list::show(context, &name.name).await,
        What::Remove(remove) => change::remove(context, remove).await,
        What::Drain(drain) => change::drain(context, drain).await,
        What::Exec(exec) => exec::exec(context, exec).await,
        What::Logs(logs) => exec::logs(context, logs).await,
        What::Sync(sync) => sync::run(context, sync).await,
        What::Import(import) => import::run(context, import).await,
    }
}

fn label(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() { Err("expected KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// A label to choose by: `KEY=VALUE`, or `KEY` for any value.
pub fn selector(text: &str) -> std::result::Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("expected KEY or KEY=VALUE".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), Some(value.to_owned()))),
        None if text.is_empty() => Err("expected KEY or KEY=VALUE".to_owned()),
        None => Ok((text.to_owned(), None)),
    }
}
