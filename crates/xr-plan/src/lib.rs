//! Pure planning: `plan(desired, observed) -> Plan`, and a linter that proves of a plan what the promise rests on.

mod change;
mod fleet;
mod lint;
mod planner;

pub use change::{Change, changes};
pub use lint::lint;
pub use planner::{Origin, plan};
