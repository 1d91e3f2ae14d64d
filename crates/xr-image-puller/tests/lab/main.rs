//! What needs the hosts of the lab.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make the world they need")]

mod send;
