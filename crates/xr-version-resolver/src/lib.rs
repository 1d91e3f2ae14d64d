//! Tags, branch, VERSION, channel and constraint to one release.
//!
//! [`resolve`] answers "which release next?", [`Checkout`] reads the publisher's trees out of git and moves the work
//! tree. **Nothing here changes the work tree except [`Checkout::switch`], and git is never run as anybody but the
//! owner of the tree.** What xr fetches lives under `refs/xr/`: the admin's branches and tags are not overwritten.

mod broken_fetch;
mod changes;
mod checkout;
mod choose;
mod config;
mod git;
mod local_work;
mod refs;
mod release;
mod remote;
mod remote_fault;
mod resolve;
mod signature;
mod submodules;
mod switch;
mod tree;
pub mod version_file;

pub use checkout::{Checkout, Head};
pub use release::{Channel, Current, Follow, Request, Resolution, Source};
pub use remote::{RemoteRefs, Tag};
pub use resolve::{resolve, resolve_install};
pub use signature::{Keyring, Signer};
pub use submodules::Submodule;
