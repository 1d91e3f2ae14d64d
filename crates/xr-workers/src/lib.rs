//! The workers: what they shall have, what they have, and how one gets there. The control host comes first everywhere.

mod add;
mod ledger;
mod logs;
mod membership;
mod observe;
mod register;
mod rollout;
mod rows;
mod stage;
mod swap;
mod sync;
mod target;
mod task;

pub use add::{Added, Candidate, HostKey, add, host_key, probe};
pub use ledger::{Ledger, Standing};
pub use logs::{dismiss, forget_key, logs};
pub use membership::taking_part;
pub use observe::{Seen, see, see_all};
pub use register::{change, forget, register};
pub use rollout::Rollout;
pub use rows::{Row, UNHEALTHY, rows, rows_and};
pub use stage::act as stage;
pub use swap::{confirm, confirm_switched, revert, switch, verify};
pub use sync::{Synced, catch_up, sync};
pub use target::Target;
pub use task::{HERE, Task, TaskOrder, nobody_has, start as start_task};
