//! The lab itself, in the lab: a module for each theme.
#![allow(clippy::disallowed_methods, reason = "a test writes its own files and starts its own clients")]

mod isolation;
mod network_faults;
mod ssh_farm;
mod support;
mod world;
