//! A release on its way into the stack: staged beside the tree, its signatures checked, the settings merged, its images pinned to
//! digests, its files switched and put back. Nothing here starts or stops a container.

pub mod build;
mod bundle;
pub mod bundle_files;
pub mod config_digest;
pub mod earlier;
pub mod files;
pub mod hold;
mod host_needs;
pub mod images;
pub mod leftovers;
pub mod release_keys;
pub mod settings;
pub mod staging;
pub mod templates;
pub mod trust;
