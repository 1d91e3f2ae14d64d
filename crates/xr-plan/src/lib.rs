//! Pure planning: `plan(desired, observed) -> Plan`, the same for a restart, and a linter that proves of a plan what the promise
//! rests on.

mod change;
mod fleet;
mod layers;
mod lint;
mod planner;
mod restart;

pub use change::{Change, changes};
pub use layers::layers;
pub use lint::lint;
pub use planner::{Origin, plan};
pub use restart::restart;
