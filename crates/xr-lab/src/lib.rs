//! The test world: a real engine, registry, git remote and hosts on one machine, with nothing fetched but Debian packages.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let lab = xr_lab::Lab::attach_or_up()?;
//! let remote = lab.remote(&["v1.0.0", "v1.1.0"])?;
//! let stack = tempfile::tempdir()?;
//! remote.clone_to(&stack.path().join("orbit"))?;
//! let worker = lab.host(xr_lab::HostKind::Fresh, "worker-1")?;
//! assert!(!worker.sh("command -v docker")?.success());
//! # Ok(()) }
//! ```
#![allow(clippy::disallowed_methods, reason = "the lab starts the programs that xr is tested against")]

/// Set for the long form of the tests: `cargo xtask test --full`.
pub const LONG_FORM: &str = "XR_TEST_FULL";

mod archive_service;
mod ask;
mod base;
mod cache;
mod cargo;
mod cgroups;
mod daemon;
mod debian;
mod engine;
mod engine_release;
mod environment;
mod forward;
mod git;
mod git_server;
mod host;
mod lab;
mod layout;
mod lock;
mod loopback;
mod processes;
mod product;
mod proxy;
mod registry;
mod release;
mod sandbox;
mod setup;
mod shell;
mod signing_key;
mod ssh_farm;
mod wait;

pub use archive_service::archive_service;
pub use base::{Base, build_base};
pub use cargo::{cargo, plain};
pub use daemon::Daemon;
pub use engine::Engine;
pub use engine_release::{ENGINES, EngineRelease};
pub use environment::with_environment;
pub use git::GitRemote;
pub use git_server::GitServer;
pub use host::{Host, HostKind, HostSpec, Output, SlowLine};
pub use lab::{Lab, Record, enter, prepare};
pub use layout::Layout;
pub use product::{Image, build_release};
pub use proxy::{Proxy, Trouble};
pub use registry::Registry;
pub use release::{RELEASES, Release};
pub use sandbox::Sandbox;
pub use signing_key::SigningKey;
pub use ssh_farm::{Kex, MaxStartups, SshFarm};
pub use wait::wait_for;
