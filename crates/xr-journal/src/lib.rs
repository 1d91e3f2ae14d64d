//! What xr remembers, and how it writes so that a crash at any moment leaves the old or the new, never half.
//!
//! Everything lives under the stack's `.xr/`: `lock`, `journal/<run>.jsonl`, `generations/<n>/`, `current`,
//! `runs/<run>/` (what stood before), `backups/`, `log/`, `reserve`. All of it can be read with `cat` when xr itself is broken.

mod atomic;
mod generations;
mod holder;
mod home;
mod journal;
mod lock;
mod order;
mod past;
mod refusal;
mod reserve;
mod room;

pub use atomic::{Ownership, create_private_dir, give_to_folders_owner, remove_broken_off, sync_disk, write_atomic};
pub use generations::Generations;
pub use holder::Holder;
pub use home::Home;
pub use journal::Journal;
pub use lock::{ChildrenLock, RunLock};
pub use order::run_order;
pub use past::{PastRun, read_runs, unfinished};
pub use reserve::Reserve;
pub use room::{is_full, read_only, takes_writes};
