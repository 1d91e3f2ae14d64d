//! A step's failure: the fault, the failed service and the end of its container's log.

use xr_model::Fault;

/// A step's failure.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// The failed service.
    pub service: Option<String>,
    /// The last lines of its container's log.
    pub log: Vec<String>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, service: None, log: Vec::new() }
    }
}

impl Failure {
    /// The failure that a signal asked for.
    pub fn interrupted() -> Self {
        Fault::new("interrupted").code(xr_model::exit::INTERRUPTED).into()
    }

    /// Whether a signal asked for it.
    pub fn is_interruption(&self) -> bool {
        self.fault.code == xr_model::exit::INTERRUPTED
    }
}
