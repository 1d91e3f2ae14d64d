//! What every command works with: the stack, its records, the engine, where events go, cancellation.

mod cancel;
mod clock;
mod env_file;
mod failure;
mod filesystems;
mod ownership;
mod session;
mod tree;

pub use cancel::Cancel;
pub use clock::now;
pub use env_file::{parse_env, read_env};
pub use failure::Failure;
pub use filesystems::{STACK_DISK, disks};
pub use ownership::{is_foreign, same, without_foreign};
pub use session::{Session, Sink, retry, secrets};
pub use tree::{root_in, root_of};
