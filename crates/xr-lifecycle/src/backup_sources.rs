//! Which containers a backup is taken from.

use std::time::Duration;

use tokio::sync::Notify;
use xr_host::{Program, Setting};
use xr_model::{Container, ImageRef, Level, Result};
use xr_session::Session;
use xr_stack::Backup;

use crate::idle_timeout::silence;

/// How long the question may take whether there is anything to save.
const ASKED: Duration = Duration::from_secs(30);

/// The running containers that a backup is taken from, one of each service that it fits and that has anything to save.
pub(crate) async fn sources(
    session: &Session<'_>,
    backup: &Backup,
    containers: &[Container],
) -> Result<Vec<Container>> {
    let mut sources = Vec::new();
    for container in able(session, backup, containers).await? {
        if applies(session, backup, &container).await {
            sources.push(container);
        }
    }
    Ok(sources)
}

/// Those that it fits and that have its program.
pub(crate) async fn able(session: &Session<'_>, backup: &Backup, containers: &[Container]) -> Result<Vec<Container>> {
    let mut sources: Vec<Container> = Vec::new();
    for container in containers.iter().filter(|c| c.is_running()) {
        let image = ImageRef::new(container.image.clone());
        let fits = image.name().rsplit('/').next().is_some_and(|name| backup.fits(name));
        // What is meant for every image is about what is mounted.
        let holds_nothing = backup.is_for_all() && container.mounts.is_empty();
        if !fits || holds_nothing || sources.iter().any(|other| other.service == container.service) {
            continue;
        }
        let able = match &backup.requires_program {
            Some(program) => session.engine.has_program(&container.id, program).await?,
            None => true,
        };
        if able {
            sources.push(container.clone());
        }
    }
    Ok(sources)
}

/// Whether there is anything to save, as the container itself says. One that cannot be asked is told.
async fn applies(session: &Session<'_>, backup: &Backup, container: &Container) -> bool {
    let Some(argv) = &backup.requires else { return true };
    let program = Program { argv, input: None, hear: &mut |_| Ok(()), setting: Setting::default() };
    let heard = Notify::new();
    let asked = session.engine.run_program(&container.id, program, silence(&heard, ASKED, &session.cancel));
    let why = match asked.await {
        Ok(Some(code)) => return code == 0,
        Ok(None) => format!("it did not say within {} s whether there is anything to save", ASKED.as_secs()),
        Err(fault) => fault.chain(),
    };
    session.say(Level::Warning, format!("no backup `{}` is taken of {}: {why}", backup.name, container.service));
    false
}
