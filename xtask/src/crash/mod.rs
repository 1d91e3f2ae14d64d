//! `cargo xtask crash`: the crash certificate. Runs are killed everywhere; what serves then is the old version or the new.

pub(crate) mod chance;
mod real;
mod simulated;
mod site;
mod table;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use xr_lab::Lab;
use xr_sim::Programs;

use chance::Chance;
use table::{Row, print};

/// What the certificate is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Simulated: killed at each record of the journal, before and after its fsync
    Records,
    /// Simulated: killed at each record, and then at each record of the recovery
    Recoveries,
    /// Simulated: each change on the disk fails, once and for good
    Writes,
    /// Simulated: killed anywhere, and again in up to three recoveries
    Anywhere,
    /// Real: killed at each record, and at random moments, under load
    Real,
    /// Real: the same moments for `docker compose up -d`
    Compose,
}

#[derive(Args)]
pub(crate) struct Crash {
    /// Random kills on the simulated engine; a fiftieth of them on the real one
    #[arg(long, default_value_t = 10_000)]
    runs: u32,
    /// What chance is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// A debug build, as the tests have it, instead of what users get
    #[arg(long)]
    debug: bool,
    /// At each record one of the ways in which it can be the last, in turn, instead of all
    #[arg(long)]
    in_turn: bool,
    /// What every change must pass: each record on the simulated engine, and a sample of the rest
    #[arg(long, exclusive = true)]
    sample: bool,
}

impl Crash {
    fn sample() -> Self {
        let parts = vec![Part::Records, Part::Anywhere, Part::Real];
        Self { runs: 150, seed: 1, parts, debug: true, in_turn: true, sample: false }
    }

    /// The program that is killed, and what it is killed with.
    fn programs(&self) -> Result<Programs> {
        let programs = Programs::build()?;
        if self.debug { Ok(programs) } else { Ok(Programs { xr: crate::bench::release_binary()?, ..programs }) }
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Random kills on a real engine, where each takes seconds.
    fn real_runs(&self) -> u32 {
        self.runs.div_ceil(50)
    }

    /// A real run is killed at every so many records: at each of them when there are random kills enough to go with that.
    fn every(&self) -> usize {
        usize::try_from(100 / self.real_runs().max(1)).unwrap_or(1).max(1)
    }
}

pub(crate) fn run(options: &Crash) -> Result<()> {
    // the simulated engine asks a real compose, the lab's, what a real engine would be told
    Lab::attach_or_up()?;
    let options = if options.sample { &Crash::sample() } else { options };
    let mut rows: Vec<Row> = Vec::new();
    if [Part::Records, Part::Recoveries, Part::Writes, Part::Anywhere].iter().any(|part| options.wants(*part)) {
        rows.extend(simulated::run(options, &mut Chance::of(options.seed))?);
    }
    if options.wants(Part::Real) {
        rows.extend(real::run(options)?);
    }
    if !rows.is_empty() {
        print(&rows, options.seed);
    }
    ensure!(rows.iter().all(|row| row.broken == 0), "xr left a stack that is neither old nor new");
    if options.wants(Part::Compose) {
        print(&[real::beside(options)?], options.seed);
    }
    Ok(())
}
