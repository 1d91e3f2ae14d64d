//! `xr doctor`: look at everything, then judge it.
//!
//! [`observe`] gathers [`Facts`] and never gives up as a whole: a source that does not answer is a fact as well.
//! [`judge`] is pure: the same facts give the same [`Finding`]s. [`mend`] makes the safe repairs, under the lock.

mod checks;
mod facts;
mod finding;
mod mend;
mod observe;
mod rights;
mod workers;

pub use checks::judge;
pub use facts::{
    CertificateFact, Facts, History, Place, RunUnderWay, Seen, Settings, Tree, Trouble, TrustFact, Unfinished,
};
pub use finding::{Finding, Fix, Severity};
pub use mend::{Mended, mend};
pub use observe::{Scope, observe};
pub use workers::{findings, unseen};
