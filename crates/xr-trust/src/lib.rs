//! A publisher's public keys, and the signed list of what a release consists of.
//!
//! [`Keys`] are read from files and told apart by their content. [`Keyring`] holds those that git's signatures are checked
//! with: a private folder with nothing else in it, so that no key of the admin's own ever counts. [`SignedList`] is the
//! file that names a release's images by digest (and a bundle's files), checked by minisign.

mod keyring;
mod keys;
mod list;

pub use keyring::Keyring;
pub use keys::{KeyFile, Keys};
pub use list::{ListKey, SignedList};
