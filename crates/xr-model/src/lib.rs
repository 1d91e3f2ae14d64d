//! The words of xr as plain data: versions, images, services, generations, plans, journal records, events.
//!
//! Everything here is serde types and small pure functions. **No I/O, no async, no knowledge of Docker or terminals.**

mod event;
mod fault;
mod fleet;
mod generation;
mod image;
mod path;
mod plan;
mod printable;
mod record;
mod redactor;
mod service;
mod shell;
mod state;
mod version;

pub use event::{EVENT_FORMAT, Event, Level, Outcome, Verdict};
pub use fault::{Fault, Result, exit};
pub use fleet::{Away, DesiredFleet, ObservedWorker, Quorum, Worker};
pub use generation::{Covers, GENERATION_FORMAT, Generation, Invocation, Mode, UnnamedVolume, Verified};
pub use image::{Digest, ImageRef, PinnedImage};
pub use path::{is_file_name, stays_inside};
pub use plan::{Action, Plan, RemadeNetwork, Restore, RunKind, Stage, Step, StepId, Swap};
pub use printable::{printable, printable_json};
pub use record::{JOURNAL_FORMAT, Record};
pub use redactor::Redactor;
pub use service::{
    Condition, Dependency, HealthCheck, ImageSource, NetworkPlace, Port, Service, VolumePlace, is_database,
};
pub use shell::shell;
pub use state::{
    Attachment, Container, ContainerState, Desired, DesiredBackup, DesiredHook, Health, LocalImage, Mount, MountKind,
    Observed, is_the_hosts, own_name,
};
pub use version::{Version, VersionError};
