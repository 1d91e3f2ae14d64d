//! Save data before the switch: a program in a running container, its output in `.xr/backups/`. A backup that fails stops the run.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use xr_host::{Program, Said, Setting};
use xr_journal::give_to_folders_owner;
use xr_model::{Container, Fault, Result, RunKind};
use xr_session::{Failure, Session};
use xr_stack::Backup;

use super::Run;
use crate::{backup_sources::able, dumps, idle_timeout::silence, output_tail::Tail};

/// How long a backup may say nothing when the manifest does not tell.
const SILENCE: Duration = Duration::from_secs(600);

pub(crate) async fn act(run: &Run<'_, '_>, index: usize, service: &str) -> std::result::Result<(), Failure> {
    let Some(backup) = run.prepared.manifest.backups.get(index) else { return Ok(()) };
    let session = run.session;
    let sources = able(session, backup, &run.prepared.observed.containers).await?;
    let Some(container) = sources.into_iter().find(|container| container.service == service) else {
        return Err(Fault::new(format!("backup `{}`: {service} runs no more", backup.name)).hint(around(run)).into());
    };
    let path = dumps::path_of_new(session, &run.id, run.prepared.plan.from.unwrap_or(0), service, &backup.name);
    let half = path.with_extension(dumps::HALF.trim_start_matches('.'));
    let mut errors = Tail::default();
    let taken = take(session, backup, &container, (&path, &half), &mut errors).await;
    let Err(fault) = taken else { return Ok(()) };
    let _ = fs::remove_file(&half); // half a backup is none; the fault below says so
    if session.cancel.is_raised() {
        // Nothing is wrong with the database or the program, so neither its log nor a way around it is told.
        return Err(Failure::interrupted());
    }
    let hint = fault.hint.clone().unwrap_or_else(|| around(run));
    let mut log = errors.lines();
    if log.is_empty() {
        log = session.engine.log_tail(&container.id, 5).await;
    }
    Err(Failure { fault: fault.hint(hint), service: Some(container.service), log })
}

/// What can be done when no backup can be had.
fn around(run: &Run<'_, '_>) -> String {
    let command = match run.prepared.plan.kind {
        // Without the present data nothing could be put back.
        RunKind::Rollback if !run.prepared.desired.restores.is_empty() => {
            return "nothing was switched; xr doctor".to_owned();
        }
        kind => kind.as_str(),
    };
    format!("nothing was switched; without a backup: xr {command} --no-backup")
}

/// Runs the program, and keeps what it says once it is known to be whole.
async fn take(
    session: &Session<'_>,
    backup: &Backup,
    container: &Container,
    (path, half): (&Path, &Path),
    errors: &mut Tail,
) -> Result<()> {
    let named = || format!("backup `{}`: cannot write {}", backup.name, path.display());
    let mut file = private(half).map_err(Fault::at(named()))?;
    let mut digest = Sha256::new();
    let patience = backup.timeout.unwrap_or(SILENCE);
    let heard = Notify::new();
    let mut refused = None;
    let mut hear = |part: Said<'_>| {
        heard.notify_one();
        match part {
            Said::Out(bytes) => {
                digest.update(bytes);
                file.write_all(bytes).inspect_err(|error| refused = Some(error.kind()))
            }
            Said::Error(bytes) => {
                errors.take(bytes);
                Ok(())
            }
        }
    };
    let program = Program { argv: &backup.command, input: None, hear: &mut hear, setting: Setting::default() };
    let ended = session.engine.run_program(&container.id, program, silence(&heard, patience, &session.cancel)).await;
    if refused.is_some() {
        let full = |fault: Fault| Fault::new(named()).because(fault).hint(disk(path));
        return ended.map(drop).map_err(full);
    }
    match ended? {
        Some(0) => {}
        Some(code) => {
            return Err(Fault::new(format!(
                "backup `{}` failed with exit code {code} in {}",
                backup.name, container.name
            )));
        }
        None => {
            return Err(Fault::new(format!("backup `{}` said nothing for {} s", backup.name, patience.as_secs())));
        }
    }
    if let Some(what) = dumps::incomplete(backup, half).map_err(Fault::at(named()))? {
        return Err(Fault::new(format!("backup `{}` {what}", backup.name)));
    }
    file.flush().and_then(|()| file.sync_all()).map_err(|error| Fault::new(named()).because(error).hint(disk(path)))?;
    dumps::write_sum(path, &digest.finalize())?;
    let folder = path.parent().unwrap_or(path);
    fs::rename(half, path).and_then(|()| File::open(folder)?.sync_all()).map_err(Fault::at(named()))
}

fn disk(path: &Path) -> String {
    format!("nothing was switched; df -h {}; xr prune", xr_model::shell(&path.parent().unwrap_or(path)))
}

/// A new file that nobody else may read from its first moment.
fn private(path: &Path) -> std::io::Result<File> {
    // What a killed run left there may be open to others still.
    let _ = fs::remove_file(path);
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    give_to_folders_owner(&file, path)?;
    Ok(file)
}
