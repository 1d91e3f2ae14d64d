//! Is this machine ready, and how to make it so.
//!
//! Questions ([`machine`], [`docker::examine`], [`ports`], [`postgres`], [`certificate::expiry`]) change nothing; actions
//! ([`docker::install`], [`certificate::ensure_self_signed`], [`folders`]) may be repeated and then do nothing.
//! **Nothing here prints or prompts.**

mod any_certificate;
mod check;

pub mod boot;
pub mod certificate;
pub mod docker;
pub mod folders;
pub mod http;
pub mod listening;
pub mod machine;
pub mod ports;
pub mod postgres;

pub use check::{Check, Grade};
