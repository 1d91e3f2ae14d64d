//! Observe, plan, apply, verify, recover, unwind. Knows the order; knows nothing of terminals.
//!
//! The one flow, for install, update and rollback alike:
//!
//! ```text
//! lock → recover → resolve → stage → observe → plan → lint | show, confirm | re-observe → apply → record | unwind
//!                          prepare()                          the caller             apply()
//! ```

mod actions;
mod adopt;
mod apply;
mod backup_sources;
mod claim;
mod dumps;
mod health;
mod hold;
mod judge;
mod leftovers;
mod lifecycle;
mod moved;
mod networks;
mod obstacle;
mod orphans;
mod prepare;
mod prune;
mod recover;
mod service_hooks;
mod silence;
mod smoke;
mod tail;
mod uninstall;
mod unwind;
mod unwind_order;
mod volumes;
mod watch;

pub use apply::apply;
pub use claim::project;
pub use judge::problems;
pub use lifecycle::{Stopped, layers, prepare_restart, prepare_start, settings_changed, stop, stoppable};
pub use networks::as_made;
pub use prepare::{Prepared, Request, Wanted, prepare};
pub use prune::{OldImage, Prunable, prunable, prune, prune_past};
pub use recover::{Recovery, recover};
pub use uninstall::{Belongings, Extent, belongings, uninstall};
