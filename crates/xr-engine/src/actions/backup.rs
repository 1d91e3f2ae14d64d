//! Save data before the switch: a program in a running container, its output in `.xr/backups/`. A backup that fails stops the run.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use xr_journal::give_to_folders_owner;
use xr_model::{Container, Fault, ImageRef, Result};
use xr_stack::Backup;

use super::Run;
use crate::{World, clock, failure::Failure};

/// The running container that a backup is taken from; none when the stack has none that it fits.
pub(crate) async fn source(world: &World<'_>, backup: &Backup, containers: &[Container]) -> Result<Option<Container>> {
    for container in containers.iter().filter(|c| c.is_running()) {
        let image = ImageRef::new(container.image.clone());
        if image.name().rsplit('/').next() != Some(backup.image.as_str()) {
            continue;
        }
        let able = match &backup.requires_program {
            Some(program) => world.engine.has_program(&container.id, program).await?,
            None => true,
        };
        if able {
            return Ok(Some(container.clone()));
        }
    }
    Ok(None)
}

/// What is wrong with a backup whose program says that all is well.
fn incomplete(backup: &Backup, path: &Path) -> io::Result<Option<Fault>> {
    const TAIL: u64 = 4096;
    let Some(end) = &backup.ends_with else { return Ok(None) };
    let mut file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if String::from_utf8_lossy(&tail).contains(end.as_str()) {
        return Ok(None);
    }
    Ok(Some(Fault::new(format!("backup `{}` broke off: its {size} bytes do not end with `{end}`", backup.name))))
}

pub(crate) async fn act(run: &Run<'_, '_>, index: usize) -> std::result::Result<(), Failure> {
    let Some(backup) = run.prepared.manifest.backups.get(index) else { return Ok(()) };
    let world = run.world;
    let Some(container) = source(world, backup, &run.prepared.observed.containers).await? else { return Ok(()) };
    let stamp: String = clock::now().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let from = run.prepared.plan.from.unwrap_or(0);
    // The run's number first: the newest backup is that of the newest run, whatever the clock says.
    let number = run.id.split('-').next().unwrap_or_default();
    let path = world.home.backups().join(format!("{number}-{stamp}-g{from}-{}", backup.name));
    let half = path.with_extension("part");
    let named = || format!("backup `{}`: cannot write {}", backup.name, path.display());
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&half)
        .map_err(Fault::at(named()))?;
    give_to_folders_owner(&file, &half).map_err(Fault::at(named()))?;
    let running = world.engine.exec(&container.id, &backup.command, &mut file, false);
    let ended = tokio::select! {
        ended = running => ended,
        () = world.cancel.raised() => {
            // Nothing is wrong with the database or the program, so neither its log nor a way around it is told.
            let _ = fs::remove_file(&half); // half a backup is none
            return Err(Failure::interrupted());
        }
    };
    let wrong = match ended {
        Ok(0) => incomplete(backup, &half).unwrap_or_else(|error| Some(Fault::new(named()).because(error))),
        Ok(code) => {
            Some(Fault::new(format!("backup `{}` failed with exit code {code} in {}", backup.name, container.name)))
        }
        Err(fault) => Some(fault),
    };
    if let Some(fault) = wrong {
        let _ = fs::remove_file(&half); // half a backup is none; the fault below says so
        let log = world.engine.log_tail(&container.id, 5).await;
        let hint = fault
            .hint
            .clone()
            .unwrap_or_else(|| "nothing was switched; without a backup: xr update --no-backup".to_owned());
        return Err(Failure { fault: fault.hint(hint), service: Some(container.service), log });
    }
    file.flush().and_then(|()| file.sync_all()).and_then(|()| fs::rename(&half, &path)).map_err(Fault::at(named()))?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the file that is examined")]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_broke_off_is_told_from_a_complete_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump");
        let backup = |ends_with: Option<&str>| Backup {
            name: "db".to_owned(),
            image: "postgres".to_owned(),
            command: Vec::new(),
            requires_program: None,
            ends_with: ends_with.map(str::to_owned),
        };
        fs::write(&path, format!("{}-- dump complete\n--\n", "x".repeat(9000))).unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_none());
        fs::write(&path, "-- dump complete").unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_none());
        fs::write(&path, "COPY rows FROM stdin;\n1\n").unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_some());
        assert!(incomplete(&backup(None), &path).unwrap().is_none());
    }
}
