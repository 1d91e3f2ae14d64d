//! The workers: what they shall have, what they have, and how one gets there. The control host comes first everywhere.

mod add;
mod ledger;
mod observe;
mod part;
mod register;
mod rows;
mod stage;
mod swap;
mod sync;
mod talk;
mod target;
mod task;

pub use add::{Added, Candidate, HostKey, add, host_key, probe};
pub use ledger::{Ledger, Standing};
pub use observe::{Seen, see, see_all};
pub use register::{change, forget, register};
pub use rows::{Row, UNHEALTHY, rows, rows_and};
pub use sync::{Synced, catch_up, sync};
pub use talk::{dismiss, forget_key, logs};
pub use target::Target;
pub use task::{HERE, Task, TaskOrder, nobody_has, start as start_task};

pub(crate) use ledger::remember;
pub(crate) use part::{joined, taking_part};
pub(crate) use stage::act as stage_worker;
pub(crate) use swap::{Fate, confirm, confirm_switched, revert, switch, verify};
