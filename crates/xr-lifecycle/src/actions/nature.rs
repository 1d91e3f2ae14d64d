//! What is to be known of each action beside how it is done and undone, in one place that a new one cannot pass by.

use xr_model::{Action, Restore, Swap};

/// What is known of an action.
#[derive(Default)]
pub(crate) struct Nature<'a> {
    /// The service whose containers it starts or stops.
    pub service: Option<&'a str>,
    /// What it runs in a container, and what a killed run leaves there.
    pub program: Option<Program>,
    /// What it does once the generation is recorded: a run that was killed then is finished, not undone.
    pub after_record: Option<AfterRecord<'a>>,
}

/// A program of the manifest, by its index there.
pub(crate) enum Program {
    Hook(usize),
    Backup(usize),
    Restore(usize),
}

/// The actions that come after `record`.
pub(crate) enum AfterRecord<'a> {
    RemoveOld(&'a [Swap]),
    DropAside(&'a Restore),
    ConfirmWorker(&'a str),
}

/// The nature of an action.
pub(crate) fn nature(action: &Action) -> Nature<'_> {
    let none = Nature::default;
    let runs = |program| Nature { program: Some(program), ..none() };
    let follows = |after| Nature { after_record: Some(after), ..none() };
    match action {
        Action::Start { swap }
        | Action::StopOld { swap }
        | Action::SwitchOver { swap, .. }
        | Action::Restart { swap, .. } => Nature { service: Some(&swap.service), ..none() },
        Action::RunHook { index, .. } => runs(Program::Hook(*index)),
        Action::Backup { index, .. } => runs(Program::Backup(*index)),
        Action::LoadDump { restore } | Action::SwapData { restore } => runs(Program::Restore(restore.index)),
        Action::RemoveOld { swaps } => follows(AfterRecord::RemoveOld(swaps)),
        Action::DropAside { restore } => follows(AfterRecord::DropAside(restore)),
        Action::ConfirmWorker { worker } => follows(AfterRecord::ConfirmWorker(worker)),
        Action::PullImage { .. }
        | Action::StageWorker { .. }
        | Action::TagImages { .. }
        | Action::SwitchFiles { .. }
        | Action::RemakeNetworks { .. }
        | Action::CreateContainers { .. }
        | Action::AwaitHealthy { .. }
        | Action::SmokeCheck
        | Action::SwitchWorker { .. }
        | Action::VerifyFleet { .. }
        | Action::Settle { .. }
        | Action::Record { .. } => none(),
    }
}
