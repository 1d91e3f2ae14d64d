//! The seam to the world: programs are started and Docker engines are reached here and nowhere else.

mod agents;
mod children;
mod cmd;
mod containers;
mod context;
mod ending;
mod engine;
mod exec;
mod family;
mod files;
mod health_words;
mod identity;
mod images;
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
pub use context::{ChosenEngine, chosen_engine};
pub use engine::{Engine, EngineInfo};
pub use exec::Probe;
pub use files::InjectedFile;
pub use identity::{Identity, owner_of};
pub use neighbours::QuickNeighbours;
pub use program::{Program, Said, Setting};
pub use ssh::{HostKey, Remote, Ssh, Trouble, Unreached};
pub use twin::Twin;
pub use usage::Tenant;
