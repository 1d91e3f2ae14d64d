//! Options of every command.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// Options of every command.
#[derive(Clone, Debug, Args)]
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

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed
        .and_then(|length| Duration::try_from(length).ok())
        .ok_or_else(|| "not a duration such as 30s or 10m".to_owned())
}
