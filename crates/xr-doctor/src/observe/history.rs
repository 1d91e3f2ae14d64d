//! What `.xr/` holds, and whether a run is under way.

use std::path::{Path, PathBuf};

use xr_journal::{Generations, Holder, Home, read_runs, unfinished};

use crate::facts::{History, RunUnderWay, Trouble, Unfinished};

pub(super) fn read(home: &Home) -> History {
    let generations = Generations::of(home);
    // All of them are read: history shows every run.
    let unfinished = unfinished(home)
        .and_then(|run| read_runs(home).map(|_| run))
        .map(|run| run.map(|run| Unfinished { kind: run.plan.kind, version: run.plan.version.clone(), at: run.at }));
    History {
        current: generations.current().map_err(Trouble::from),
        kept: generations.all().map_err(Trouble::from),
        unfinished: unfinished.map_err(Trouble::from),
        under_way: Holder::of(home).map(|holder| RunUnderWay(holder.to_string())),
    }
}

/// The folder that stands for the stack's root in a generation.
pub(super) fn files(root: &Path, home: &Home, number: u32) -> PathBuf {
    Generations::of(home).files(number).join(root.file_name().unwrap_or_default())
}
