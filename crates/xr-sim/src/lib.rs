//! A simulated Docker engine, and a stack on it.
//!
//! xr is not told: the engine answers the Docker Engine API on a unix socket, and the `docker` that xr finds on its `PATH`
//! hands compose's one mutation (`up --no-start`) to it, while everything that compose only computes is computed by the real
//! compose, once. What an update does in seconds on a real engine takes milliseconds here, and every call can be the last.
//!
//! The tests of `xr` run the same cases on this engine and on a real one, and compare.
#![allow(clippy::disallowed_methods, reason = "a test world starts programs and writes files")]

mod api;
mod cli;
mod container;
mod engine;
mod image_store;
mod images;
mod server;
mod world;

pub use container::Container;
pub use engine::{CrashPoint, Engine};
pub use images::{Behaviour, Image, orbit};
pub use server::Server;
pub use world::{Kept, Killed, Programs, Reply, World};
