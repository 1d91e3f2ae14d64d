//! The seam to the world: programs are started and Docker engines are reached here and nowhere else.

mod agents;
mod children;
mod cmd;
mod containers;
mod ending;
mod engine;
mod exec;
mod family;
mod files;
mod health_words;
mod identity;
mod images;
mod mounted;
mod mounts;
mod neighbours;
mod networks;
mod program;
mod project_folders;
mod residents;
mod ssh;
mod twin;
mod usage;
mod watched;

pub use agents::{FINGERPRINT, Labelled, Making, ROLE, STACK, Shape, VERSION};
pub use children::{end_children, kill_children};
pub use cmd::{Cmd, Outliving, Output};
pub use engine::{Engine, EngineInfo};
pub use exec::Probe;
pub use files::InjectedFile;
pub use identity::{Identity, owner_of};
pub use mounted::MountedVolume;
pub use neighbours::QuickNeighbours;
pub use program::{Program, Said};
pub use ssh::{HostKey, Remote, Ssh, Trouble, Unreached};
pub use twin::Twin;
pub use usage::Tenant;
