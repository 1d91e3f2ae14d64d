//! Make a machine that answers SSH into a worker, and keep it one: what it is, Docker on it, its agent's replacement.
//!
//! What is done on a worker is done by small scripts of a POSIX shell that go there whole: nothing has to be installed, and a
//! connection that breaks stops nothing half-way.

mod agent;
mod docker;
mod host_facts;

pub use agent::{Agent, Switched};
pub use docker::{install_docker, remove_docker};
pub use host_facts::{HostFacts, host_facts, load_here, load_of};
