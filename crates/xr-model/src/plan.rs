//! A plan: immutable data. Execution makes no choices that are not written here.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Attachment, Container, ImageRef, PinnedImage, Version};

/// Which command asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// From nothing to a version.
    Install,
    /// From one version to another.
    Update,
    /// Back to an older generation.
    Rollback,
    /// What the present generation says, up again.
    Start,
    /// The present generation's containers, stopped and started one layer after the other.
    Restart,
}

impl RunKind {
    /// The command's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::Start => "start",
            Self::Restart => "restart",
        }
    }
}

/// A step's number within its plan, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// Stages in order; the steps of one stage are independent of each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Which command.
    pub kind: RunKind,
    /// The generation that serves now.
    pub from: Option<u32>,
    /// The version that serves now.
    pub from_version: Option<Version>,
    /// The generation to be.
    pub generation: u32,
    /// The version to be.
    pub version: Version,
    /// Containers that run and that no step names, by id: they run afterwards, whatever becomes of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// The order.
    pub stages: Vec<Stage>,
}

impl Plan {
    /// All steps in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| stage.steps.iter())
    }

    /// Whether what runs may have been touched when these steps were begun.
    pub fn touches_the_stack(&self, begun: &BTreeSet<StepId>) -> bool {
        self.steps().any(|step| begun.contains(&step.id) && step.action.touches_the_stack())
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}

/// Steps that may run at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// What the stage is for, e.g. `pull`.
    pub name: String,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One journalled step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What it does.
    pub action: Action,
}

/// Replacement of one service's containers: every id is known before anything moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The service.
    pub service: String,
    /// The containers that serve now; they are kept until the run has succeeded.
    pub old: Vec<Container>,
    /// How many containers there shall be.
    pub replicas: u32,
    /// The fixed name, where the compose file gives one.
    pub container_name: Option<String>,
}

impl Swap {
    /// Whether this id is that of an old container.
    pub fn has(&self, id: &str) -> bool {
        self.old.iter().any(|old| old.id == id)
    }
}

/// A network whose definition changes, and how to make it again as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemadeNetwork {
    /// Its name on the engine.
    pub name: String,
    /// What the engine was asked for when it was made, as its API has it.
    pub definition: serde_json::Value,
}

/// A dump that is put back: its data are loaded beside those in use, and take their place at once while nobody uses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The backup's index in the manifest.
    pub index: usize,
    /// Its name there.
    pub name: String,
    /// The dump's file name under `.xr/backups/`.
    pub dump: String,
    /// When it was taken (RFC 3339, UTC).
    pub taken_at: String,
    /// Its bytes.
    pub size: u64,
    /// The service that keeps the data.
    pub service: String,
    /// Its container that runs now.
    pub container: String,
}

/// What a step does. Every action is ensure-shaped: doing it twice is a no-op.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Bring an image onto the disk by digest, verify it.
    PullImage {
        /// The image.
        image: PinnedImage,
    },
    /// Bring what a worker lacks onto its disk, and create its new agent beside the one that runs.
    StageWorker {
        /// Which.
        worker: String,
        /// The images that it lacks; how each is pinned, the plan says once for all.
        lacks: Vec<ImageRef>,
    },
    /// Run a backup of the manifest into `.xr/backups`.
    Backup {
        /// Its index in the manifest.
        index: usize,
        /// Its name there.
        name: String,
        /// The service whose data it saves.
        #[serde(default)]
        service: String,
    },
    /// Make a dump's data anew beside those in use, which are not touched.
    LoadDump {
        /// Which.
        restore: Restore,
    },
    /// Set the data in use aside, and what was loaded in their place.
    SwapData {
        /// Which.
        restore: Restore,
    },
    /// Throw away the data that were set aside.
    DropAside {
        /// Which.
        restore: Restore,
    },
    /// Make the reference mean the pinned content on this engine.
    TagImages {
        /// The images.
        images: Vec<PinnedImage>,
    },
    /// Put tree, VERSION and `.env` as the generation has them.
    SwitchFiles {
        /// The generation whose staged files are put in place.
        generation: u32,
        /// The commit, for a git checkout.
        commit: Option<String>,
    },
    /// Take everything off networks and remove them: compose makes them anew, as the new version defines them.
    RemakeNetworks {
        /// The networks as they are.
        networks: Vec<RemadeNetwork>,
        /// Whose places on them are given up; their containers do not run.
        places: Vec<Attachment>,
    },
    /// Create replacement and missing containers without starting them.
    CreateContainers {
        /// What is replaced (empty `old`: new).
        swaps: Vec<Swap>,
    },
    /// Start the new containers of a service, the old ones left as they are.
    Start {
        /// What is started.
        swap: Swap,
    },
    /// Stop the old containers, take `detach` off their networks, start the new ones. Old and new may be the same (restart).
    SwitchOver {
        /// What is switched.
        swap: Swap,
        /// Old containers of other services to take off the network first, so that the new one cannot find them.
        detach: Vec<Attachment>,
        /// How long the old may take to end before it is killed; none for its own grace period.
        drain: Option<Duration>,
    },
    /// Restart unchanged containers that may hold addresses of replaced ones.
    Restart {
        /// What is restarted (`old` is also the new).
        swap: Swap,
        /// As in `SwitchOver`.
        detach: Vec<Attachment>,
        /// As in `SwitchOver`.
        drain: Option<Duration>,
    },
    /// Wait until a service's containers are healthy (or completed).
    AwaitHealthy {
        /// The service.
        service: String,
        /// Give up after this.
        patience: Duration,
        /// Whether it must end with 0 rather than stay up.
        completes: bool,
    },
    /// Run a hook of the manifest.
    RunHook {
        /// Its index in the manifest.
        index: usize,
        /// Its name there.
        name: String,
    },
    /// Ask the published ports.
    SmokeCheck,
    /// Stop old containers that ran beside the new ones; they stay on the disk.
    StopOld {
        /// Whose.
        swap: Swap,
    },
    /// Stop a worker's agent and start the new one, which goes back by itself unless it is confirmed.
    SwitchWorker {
        /// Which.
        worker: String,
        /// Whether the run fails when it does.
        must: bool,
    },
    /// Ask all switched workers whether the new agent is up; so many must say so.
    VerifyFleet {
        /// How many.
        needed: usize,
    },
    /// Watch that nothing crashes.
    Settle {
        /// Which services.
        services: Vec<String>,
        /// For how long.
        watch: Duration,
    },
    /// Record the generation and point at it: from here on the new version is the truth.
    Record {
        /// Its number.
        generation: u32,
    },
    /// Let a worker's new agent stay, and remove the old one.
    ConfirmWorker {
        /// Which.
        worker: String,
    },
    /// Remove the old containers, and those of services that are gone.
    RemoveOld {
        /// Whose.
        swaps: Vec<Swap>,
    },
}

impl Action {
    /// The services that it replaces, starts, stops or removes containers of.
    pub fn swaps(&self) -> &[Swap] {
        match self {
            Self::CreateContainers { swaps } | Self::RemoveOld { swaps } => swaps,
            Self::SwitchOver { swap, .. } | Self::Restart { swap, .. } | Self::StopOld { swap } => {
                std::slice::from_ref(swap)
            }
            Self::PullImage { .. }
            | Self::StageWorker { .. }
            | Self::Backup { .. }
            | Self::LoadDump { .. }
            | Self::SwapData { .. }
            | Self::DropAside { .. }
            | Self::TagImages { .. }
            | Self::SwitchFiles { .. }
            | Self::RemakeNetworks { .. }
            | Self::Start { .. }
            | Self::AwaitHealthy { .. }
            | Self::RunHook { .. }
            | Self::SmokeCheck
            | Self::SwitchWorker { .. }
            | Self::VerifyFleet { .. }
            | Self::Settle { .. }
            | Self::Record { .. }
            | Self::ConfirmWorker { .. } => &[],
        }
    }

    /// A short title in the imperative, for progress and the plan's table.
    pub fn title(&self) -> String {
        match self {
            Self::PullImage { image } => format!("pull {}", image.reference),
            Self::StageWorker { worker, lacks } if lacks.is_empty() => format!("stage worker {worker}"),
            Self::StageWorker { worker, lacks } => format!("stage worker {worker}: {} images", lacks.len()),
            Self::SwitchWorker { worker, .. } => format!("switch worker {worker}"),
            Self::VerifyFleet { needed } => format!("verify the workers: {needed} at least"),
            Self::ConfirmWorker { worker } => format!("confirm worker {worker}"),
            Self::Backup { name, service, .. } => format!("back up {name} of {service}"),
            Self::LoadDump { restore } => {
                format!("load {} of {} beside the present data", restore.name, restore.taken_at)
            }
            Self::SwapData { restore } => format!("put back the data of {}", restore.name),
            Self::DropAside { restore } => format!("throw away the data that {} replaced", restore.name),
            Self::TagImages { images } => match images.len() {
                1 => "pin 1 image".to_owned(),
                number => format!("pin {number} images"),
            },
            Self::SwitchFiles { .. } => "switch tree, VERSION and .env".into(),
            Self::RemakeNetworks { networks, .. } => {
                let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
                format!("remove network {} for its new definition", names.join(", "))
            }
            Self::CreateContainers { swaps } => {
                format!("create {}", swaps.iter().map(|s| s.service.as_str()).collect::<Vec<_>>().join(", "))
            }
            Self::Start { swap } if swap.old.is_empty() => format!("start {}", swap.service),
            Self::Start { swap } => format!("start new {} beside the old", swap.service),
            Self::SwitchOver { swap, .. } => format!("switch {} over", swap.service),
            Self::Restart { swap, .. } => format!("restart {}", swap.service),
            Self::AwaitHealthy { service, .. } => format!("wait for {service}"),
            Self::RunHook { name, .. } => format!("run hook {name}"),
            Self::SmokeCheck => "smoke check".into(),
            Self::StopOld { swap } => format!("stop old {}", swap.service),
            Self::Settle { watch, .. } => format!("watch for {} s", watch.as_secs()),
            Self::Record { generation } => format!("record generation {generation}"),
            Self::RemoveOld { .. } => "remove old containers".into(),
        }
    }

    /// Whether what runs may be touched by it: before the first such step a failure leaves everything as it was.
    pub fn touches_the_stack(&self) -> bool {
        !matches!(self, Self::PullImage { .. } | Self::StageWorker { .. } | Self::Backup { .. } | Self::LoadDump { .. })
    }
}
