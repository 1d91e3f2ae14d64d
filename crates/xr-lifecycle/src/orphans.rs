//! What a killed run had begun in containers goes on without it: it is ended before the run is.

use xr_journal::PastRun;
use xr_model::{Level, Result};
use xr_session::Session;

use crate::actions::nature::{Program, nature};

/// Ends hooks, backups and restores of steps that were begun and not done.
///
/// # Errors
/// When the engine does not answer.
pub(crate) async fn end(session: &Session<'_>, past: &PastRun, project: &str) -> Result<()> {
    let half_done = past.plan.steps().filter(|step| past.started.contains(&step.id) && !past.done.contains(&step.id));
    let mut begun = half_done.filter_map(|step| Some((&step.action, nature(&step.action).program?))).peekable();
    if begun.peek().is_none() {
        return Ok(());
    }
    let manifest = xr_stack::load(&xr_session::root_of(session, past.plan.generation))?.manifest;
    let mut containers = session.containers(project).await?;
    containers.retain(xr_model::Container::is_running);
    for (action, program) in begun {
        let argv = match program {
            Program::Hook(index) => manifest.hooks.get(index).map(|hook| &hook.command),
            Program::Backup(index) => manifest.backups.get(index).map(|backup| &backup.command),
            Program::Restore(index) => manifest.backups.get(index).and_then(|backup| backup.restore.as_ref()),
        };
        let Some(argv) = argv.filter(|argv| !argv.is_empty()) else { continue };
        for container in &containers {
            if !session.engine.end_programs(&container.id, argv).await? {
                let text = format!("what `{}` had begun in {} may still be at work", action.title(), container.name);
                session.say(Level::Warning, text);
            }
        }
    }
    Ok(())
}
