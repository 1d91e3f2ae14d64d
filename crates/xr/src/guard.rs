//! A second process that outlives the run: when the run dies, it ends at once what the run began.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use xr_host::{Cmd, Outliving};
use xr_model::Result;

/// Guards that watch over one another's recoveries at most.
const LAST: u8 = 3;

static POSTED: AtomicBool = AtomicBool::new(false);

/// A guard on its post, for as long as this is held. It learns that a run has ended well from the journal, not from us.
#[derive(Debug)]
pub struct Guard {
    process: Option<Outliving>,
}

impl Guard {
    /// Posts a guard of the stack at `root`; the `number`th in a row, when guards themselves have died.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn post(root: &Path, number: u8) -> Result<Self> {
        if number > LAST {
            return Ok(Self { process: None });
        }
        // The file that this process was started from, also when another has its name by now.
        let program = Cmd::new("/proc/self/exe").args(["guard", "--quiet", "--number", &number.to_string(), "--stack"]);
        let process = program.arg(root).start_outliving()?;
        POSTED.store(true, Ordering::SeqCst);
        Ok(Self { process: Some(process) })
    }
}

impl Guard {
    /// Sends it home: nothing is left to do, or nothing that it could.
    pub fn dismiss(self) {
        if let Some(process) = self.process {
            process.dismiss();
        }
    }
}

/// Whether this process has posted a guard.
pub fn is_posted() -> bool {
    POSTED.load(Ordering::SeqCst)
}
