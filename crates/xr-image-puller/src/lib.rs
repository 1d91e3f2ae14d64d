//! Images by digest: proven to exist before anything is planned, pulled before anything is stopped.
//!
//! Everything goes through the Docker engine, so its proxies, certificates, insecure registries and registry mirrors
//! apply. Our own mirrors ([`Sources`]) come after what is written in the compose file. [`resolve_all`] turns
//! references into digests, [`pull_all`] brings them onto the disk and checks them, [`tag`] makes a reference mean one.
//! [`Sender`] brings them from this host's engine to another's.

mod classify;
mod credentials;
mod error;
mod local;
mod progress;
mod pull;
mod resolve;
mod retry;
mod rounds;
mod send;
mod sources;
mod stream;
mod watch;

pub use credentials::Credentials;
pub use error::{Failure, PullError};
pub use local::tag;
pub use progress::{LayerProgress, LayerStatus, Totals};
pub use pull::{Pulled, pull, pull_all};
pub use resolve::{resolve_all, resolve_digest};
pub use retry::Retry;
pub use send::{SendProgress, Sender, Sent};
pub use sources::Sources;

/// `Result` with a [`PullError`].
pub type Result<T> = std::result::Result<T, PullError>;
