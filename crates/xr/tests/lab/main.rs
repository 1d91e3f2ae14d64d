//! xr in the lab, on a real engine with a real registry, git remotes and hosts: a module for each theme, linked once.
#![allow(clippy::disallowed_methods, reason = "a test writes its own files")]

mod backups;
mod bad_input;
mod bad_release;
mod bundle;
mod disk_faults;
mod engine_faults;
mod field_faults;
mod fleet;
mod fresh_host;
mod git_faults;
mod hooks;
mod interruptions;
mod late_failures;
mod nothing_lost;
mod operations;
mod promises;
mod registry_faults;
mod secrets;
mod settings;
mod shapes;
mod simulation;
mod state_faults;
mod support;
mod trust;
mod uninstall;
mod worker_absence;
mod worker_bad_input;
mod worker_network;
mod worker_trouble;
mod workers;
