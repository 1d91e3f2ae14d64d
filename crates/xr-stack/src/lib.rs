//! Find a stack on disk and read what its publisher says about it.
//!
//! Three sources, the later over the earlier: the built-in preset `default`, the preset that fits the compose file,
//! and the publisher's `xr.toml`. All three share one schema ([`Manifest`]). The admin's own settings are in
//! `.xr/site.toml` ([`Site`]).

mod agent;
mod compose;
mod duration;
mod inline_files;
pub mod inventory;
mod layout;
mod lifecycle;
mod manifest;
mod presets;
pub mod scan;
mod services;
mod site;
mod worker_list;

pub use agent::{AgentSpec, Place, agent};
pub use compose::{Compose, Foretold, Resolved, missing_value};
pub use inline_files::{InlineFile, inline_files};
pub use layout::{Layout, find_root, inside, leads_out};
pub use lifecycle::{LifecycleHook, Moment, lifecycle_hooks};
pub use manifest::{
    Backup, Certificate, Database, DependentImage, DevImage, Folder, Follow, Hook, HookTime, Keep, Manifest, Profile,
    Requirements, RestorePart, SecretKey, ServiceRule, Smoke, Trust, WorkerRule,
};
pub use presets::{Stack, load, read_small, trust_of};
pub use site::{Channel, Fleet, ImagesFrom, Network, Site, SiteTrust};
pub use worker_list::{WorkerList, name_of, unfit};
