//! Put a dump's data back, in the parts that the manifest's program does: load beside, swap, and the undo.
//!
//! Until the swap the data in use are not touched; after it they stand aside, whole, until the generation is recorded. So
//! whatever breaks off where, the data in use are all of before or all of the dump.

use std::{fs::File, future::Future, io::Read, time::Duration};

use tokio::sync::Notify;
use xr_host::{Program, Said, Setting};
use xr_model::{Container, Event, Fault, Restore, Result, StepId};
use xr_session::{Failure, Session};
use xr_stack::{Backup, Manifest, RestorePart};

use super::Run;
use crate::{idle_timeout::silence, output_tail::Tail};

/// How long a part may take that only moves names.
const LIMIT: Duration = Duration::from_secs(600);
/// How long loading may neither read nor say anything: an index of a large table takes its time.
const SILENCE: Duration = Duration::from_secs(3600);

/// Makes the dump's data anew beside those in use.
pub(crate) async fn load(run: &Run<'_, '_>, step: StepId, restore: &Restore) -> std::result::Result<(), Failure> {
    let session = run.session;
    let path = session.home.backups().join(&restore.dump);
    let backup = backup(&run.prepared.manifest, restore)?;
    let file = File::open(&path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
    let heard = Notify::new();
    let input = Counted {
        file,
        told: 0,
        done: 0,
        heard: &heard,
        tell: &|current| {
            let status = "loading".to_owned();
            session.tell(Event::Progress {
                step: step.0,
                layer: restore.name.clone(),
                status,
                current,
                total: restore.size,
            });
        },
    };
    let end = silence(&heard, SILENCE, &session.cancel);
    let container = holder(run.session, run.project(), restore).await?;
    let task = Task { which: RestorePart::Load, input: Some(Box::new(input)), heard: &heard };
    let ended = part(session, backup, &container, task, end).await;
    if ended.is_err() && session.cancel.is_raised() {
        return Err(Failure::interrupted());
    }
    ended.map_err(|mut failure| {
        let what = format!("the dump {} cannot be loaded: {}", path.display(), failure.fault.chain());
        failure.fault = Fault::new(what)
            .hint("nothing was switched; xr history lists the generations, xr rollback leaves the data alone");
        failure
    })
}

/// Sets the data in use aside and what was loaded in their place.
pub(crate) async fn swap(run: &Run<'_, '_>, restore: &Restore) -> std::result::Result<(), Failure> {
    let backup = backup(&run.prepared.manifest, restore)?;
    let container = holder(run.session, run.project(), restore).await?;
    quick(run.session, backup, &container, RestorePart::Swap).await
}

/// Throws away the data that were set aside.
pub(crate) async fn drop_aside(
    session: &Session<'_>,
    project: &str,
    manifest: &Manifest,
    restore: &Restore,
) -> std::result::Result<(), Failure> {
    let container = holder(session, project, restore).await?;
    quick(session, backup(manifest, restore)?, &container, RestorePart::Done).await
}

/// Puts back what was set aside, and throws away what was loaded; nothing when neither is there.
///
/// # Errors
/// When the data cannot be put back: what uses them must not be started then.
pub(crate) async fn undo(session: &Session<'_>, project: &str, generation: u32, restore: &Restore) -> Result<()> {
    let manifest = xr_stack::load(&xr_session::root_of(session, generation))?.manifest;
    let backup = backup(&manifest, restore)?;
    let container = holder(session, project, restore).await?;
    // What a killed run has left at work there would go on behind the back of this.
    for left in [RestorePart::Load, RestorePart::Swap].iter().filter_map(|part| backup.restore(*part)) {
        session.engine.end_programs(&container.id, &left).await?;
    }
    quick(session, backup, &container, RestorePart::Back).await.map_err(|failure| {
        let said = failure.log.last().map(|line| format!(": {line}")).unwrap_or_default();
        Fault::new(format!("{}{said}", failure.fault.chain())).hint("xr recover")
    })
}

/// The backup as the manifest has it.
fn backup<'a>(manifest: &'a Manifest, restore: &Restore) -> Result<&'a Backup> {
    let found = manifest.backups.get(restore.index).filter(|backup| backup.name == restore.name);
    found.ok_or_else(|| Fault::new(format!("the manifest has no backup `{}` any more", restore.name)).hint("xr doctor"))
}

/// The container that has the data now: one of the service that runs, else the one that ran before, which is started.
async fn holder(session: &Session<'_>, project: &str, restore: &Restore) -> Result<Container> {
    let all = session.containers(project).await?;
    let mut ours = all.into_iter().filter(|c| c.service == restore.service).collect::<Vec<_>>();
    ours.sort_by_key(|c| (!c.is_running(), c.id != restore.container));
    let Some(first) = ours.into_iter().next() else {
        return Err(Fault::new(format!("{} has no container", restore.service)).hint("xr doctor"));
    };
    if !first.is_running() {
        session.engine.start(&first.id).await?;
    }
    Ok(first)
}

/// A part that takes no input and is not broken off but by its limit.
async fn quick(
    session: &Session<'_>,
    backup: &Backup,
    container: &Container,
    which: RestorePart,
) -> std::result::Result<(), Failure> {
    let task = Task { which, input: None, heard: &Notify::new() };
    part(session, backup, container, task, tokio::time::sleep(LIMIT)).await
}

/// A part of the work, what it reads, and who is told when it says something.
struct Task<'a> {
    which: RestorePart,
    input: Option<Box<dyn Read + Send + 'a>>,
    heard: &'a Notify,
}

async fn part(
    session: &Session<'_>,
    backup: &Backup,
    container: &Container,
    task: Task<'_>,
    until: impl Future<Output = ()>,
) -> std::result::Result<(), Failure> {
    let Task { which, input, heard } = task;
    let named = || format!("backup `{}`, restore `{}`", backup.name, which.as_str());
    let argv =
        backup.restore(which).ok_or_else(|| Fault::new(format!("{}: the manifest has no such command", named())))?;
    let mut said = Tail::default();
    let mut hear = |part: Said<'_>| {
        let (Said::Out(bytes) | Said::Error(bytes)) = part;
        heard.notify_one();
        said.take(bytes);
        Ok(())
    };
    let program = Program { argv: &argv, input, hear: &mut hear, setting: Setting::default() };
    let how = match session.engine.run_program(&container.id, program, until).await? {
        Some(0) => return Ok(()),
        Some(code) => format!("{} failed with exit code {code} in {}", named(), container.name),
        None => format!("{} did not end in time in {}", named(), container.name),
    };
    Err(Failure {
        fault: Fault::new(how).hint("xr doctor"),
        service: Some(container.service.clone()),
        log: said.lines(),
    })
}

/// A dump as it is read, its progress told now and then.
struct Counted<'a> {
    file: File,
    done: u64,
    told: u64,
    heard: &'a Notify,
    tell: &'a (dyn Fn(u64) + Sync),
}

/// Bytes between two words about the progress.
const STEP: u64 = 4 << 20;

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.heard.notify_one();
        self.done += length as u64;
        if self.done - self.told >= STEP || length == 0 {
            self.told = self.done;
            (self.tell)(self.done);
        }
        Ok(length)
    }
}
