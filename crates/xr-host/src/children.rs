//! The programs that run now, so that they can be ended when this process must leave at once.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
};

use duct::{Expression, Handle};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::process_tree;

/// Process ids, and whether each leads a process group of its own.
static RUNNING: Mutex<BTreeMap<u32, bool>> = Mutex::new(BTreeMap::new());

/// Programs that are noted as running until this is dropped.
pub(crate) struct Noted(Vec<u32>);

/// Starts programs and notes them. Who ends all that run comes before both or after both.
pub(crate) fn start(expression: &Expression, own_group: bool) -> io::Result<(Handle, Noted)> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = expression.start()?;
    let pids = handle.pids();
    running.extend(pids.iter().map(|pid| (*pid, own_group)));
    Ok((handle, Noted(pids)))
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|pid, _| !self.0.contains(pid));
    }
}

/// Kills every program that runs, with what it has started itself.
pub fn kill_children() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for (pid, own_group) in running.iter() {
        process_tree::kill(*pid);
        if let Some(leader) = i32::try_from(*pid).ok().and_then(Pid::from_raw).filter(|_| *own_group) {
            // Also those whose parent has ended before; one that has just ended needs no signal.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Ends every program that still runs, with what it has started itself; each may clear up before.
pub fn end_children() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let pids: Vec<u32> = running.keys().copied().collect();
    // A program's end is noted under the same lock.
    drop(running);
    pids.into_iter().for_each(process_tree::end);
}
