//! Observe, plan, apply, verify, recover, unwind. Knows the order; knows nothing of terminals.
//!
//! The one flow, for install, update and rollback alike:
//!
//! ```text
//! lock → recover → resolve → stage → observe → plan → lint | show, confirm | re-observe → apply → record | unwind
//!                          prepare()                          the caller             apply()
//! ```

mod actions;
mod apply;
mod backup_sources;
mod blocker;
mod dumps;
mod idle_timeout;
mod judge;
mod orphans;
mod output_tail;
mod prepare;
mod prune;
mod recover;
mod service_hooks;
mod smoke;
mod start_stop;
mod uninstall;
mod unwind;
mod unwind_order;

pub use apply::apply;
pub use judge::problems;
pub use prepare::{Prepared, Request, Wanted, prepare};
pub use prune::{OldImage, Prunable, prunable, prune, prune_past};
pub use recover::{Recovery, recover};
pub use start_stop::{Stopped, prepare_restart, prepare_start, settings_changed, stop, stoppable};
pub use uninstall::{Belongings, Extent, belongings, uninstall};
