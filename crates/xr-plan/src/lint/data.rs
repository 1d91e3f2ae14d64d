//! What must hold of a plan that puts data back.

use std::collections::{BTreeMap, BTreeSet};

use xr_model::{Action, Restore, Step};

/// Data that would be put back without an undo, under somebody's hands, or thrown away too soon.
pub(super) fn rules<'a>(steps: &[&'a Step]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut backed_up: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut loaded: BTreeMap<(usize, &str), &Restore> = BTreeMap::new();
    let of = |restore: &'a Restore| (restore.index, restore.service.as_str());
    let (mut started, mut recorded) = (false, false);
    for step in steps {
        match &step.action {
            Action::Backup { index, service, .. } => {
                backed_up.insert((*index, service));
            }
            Action::LoadDump { restore } => {
                if !backed_up.contains(&of(restore)) {
                    broken.push(format!("{} is put back without a backup of the present data", restore.name));
                }
                loaded.insert(of(restore), restore);
            }
            Action::Start { .. } | Action::SwitchOver { .. } | Action::Restart { .. } => started = true,
            Action::SwapData { restore } => {
                if loaded.get(&of(restore)) != Some(&restore) {
                    broken.push(format!("{} is put back before it is loaded", restore.name));
                }
                if started {
                    broken.push(format!("{} is put back after something new was started", restore.name));
                }
            }
            Action::Record { .. } => recorded = true,
            Action::DropAside { restore } if !recorded => {
                broken.push(format!("what {} replaced is thrown away before the generation is recorded", restore.name));
            }
            _ => {}
        }
    }
    broken
}
