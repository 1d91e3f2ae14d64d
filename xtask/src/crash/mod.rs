//! `cargo xtask crash`: the crash certificate. Runs are killed everywhere; what serves then is the old version or the new.

mod chance;
mod real;
mod simulated;
mod table;

use anyhow::{Result, ensure};
use clap::Args;

use chance::Chance;
use table::{Row, print};

#[derive(Args)]
pub(crate) struct Crash {
    /// Random moments: ten thousand and two hundred make the whole certificate
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// What chance is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the simulated engine: no lab is needed
    #[arg(long, conflicts_with = "real")]
    simulated: bool,
    /// Only the real engine, and compose beside it
    #[arg(long)]
    real: bool,
    /// What users get, instead of a debug build, on the simulated engine too
    #[arg(long)]
    release: bool,
    /// At each record of the journal too: on the simulated engine again inside each recovery
    #[arg(long)]
    records: bool,
}

pub(crate) fn run(options: &Crash) -> Result<()> {
    let mut chance = Chance::of(options.seed);
    let mut rows: Vec<Row> = Vec::new();
    if !options.real {
        rows.extend(simulated::run(options, &mut chance)?);
    }
    if !options.simulated {
        rows.extend(real::run(options, &mut chance)?);
    }
    print(&rows, options.seed);
    ensure!(
        rows.iter().all(|row| row.ours.is_none() || row.broken == 0),
        "xr left a stack that is neither old nor new"
    );
    Ok(())
}
