//! The dumps that a rollback puts back: for each backup that would be taken now, the newest one of the generation to be.

use std::path::Path;

use jiff::tz::TimeZone;
use xr_model::{Fault, Generation, Level, Observed, Restore, Result};
use xr_session::Session;
use xr_stack::{Backup, Manifest};

use crate::{backup_sources, dumps};

/// What the data need on the engine's disk while they are there twice, in sizes of the dump: tables are larger than their
/// text, and indexes are not in it.
const GROWTH: u64 = 3;

/// The dumps to put back, each examined.
///
/// # Errors
/// There is none of this generation, it is damaged, its database does not run, or the disk cannot hold its data twice.
pub(super) async fn restores(
    session: &Session<'_>,
    manifest: &Manifest,
    observed: &Observed,
    target: &Generation,
) -> Result<Vec<Restore>> {
    let mut restores = Vec::new();
    let mut left: Vec<(&str, String)> = Vec::new();
    let mut sources = 0;
    for (index, one) in manifest.backups.iter().enumerate() {
        let containers = backup_sources::sources(session, one, &observed.containers).await?;
        sources += containers.len();
        if one.restore.is_none() {
            left.extend(containers.into_iter().map(|container| (one.name.as_str(), container.service)));
            continue;
        }
        let known = dumps::of_generation(session, target.number, &one.name)?;
        // Data of a database that does not run cannot be put back, least of all into another one. One that is no more has
        // kept what it had.
        let is_down = |service: &&str| {
            observed.of(service).next().is_some() && !containers.iter().any(|c| c.service == **service)
        };
        if let Some(service) = known.iter().filter_map(|dump| dump.service.as_deref()).find(is_down) {
            return Err(Fault::new(format!("{service} does not run, and there is a dump of its data"))
                .hint("xr start; xr rollback goes back and leaves the data alone"));
        }
        for container in &containers {
            if containers.len() > 1 && known.iter().any(|dump| dump.service.is_none()) {
                let services: Vec<&str> = containers.iter().map(|container| container.service.as_str()).collect();
                return Err(Fault::new(format!(
                    "the dumps of generation {} do not tell of which they are: {}",
                    target.number,
                    services.join(", ")
                ))
                .hint(format!("put them back by hand: ls {}; xr rollback leaves the data alone", folder(session))));
            }
            // A dump that does not tell its service is of the only one there is.
            let fits = |dump: &&dumps::Dump| match &dump.service {
                Some(service) => *service == container.service,
                None => containers.len() == 1,
            };
            let Some(dump) = known.iter().rfind(fits).cloned() else {
                if known.is_empty() {
                    return Err(missing(session, target, one));
                }
                // The service was not there then: it has no data of that time.
                continue;
            };
            let taken = dump.taken.to_zoned(TimeZone::UTC).map_err(Fault::at("the dump has no time"))?;
            checked(session, one, &dump).await?;
            restores.push(Restore {
                index,
                name: one.name.clone(),
                dump: dump.file,
                taken_at: taken.timestamp().to_string(),
                size: dump.size,
                service: container.service.clone(),
                container: container.id.clone(),
            });
        }
    }
    if sources == 0 {
        return Err(Fault::new("no database of the stack runs whose data could be put back")
            .hint("xr start; data outside of the stack are put back where they are"));
    }
    if let (true, Some((backup, service))) = (restores.is_empty(), left.first()) {
        return Err(Fault::new(format!("nothing says how backup `{backup}` of {service} is put back"))
            .hint(format!("set `restore` in xr.toml, or put it back by hand: ls {}", folder(session))));
    }
    for (backup, service) in left {
        let text = format!(
            "the data of {service} stay as they are: nothing says how backup `{backup}` is put back (`restore` in xr.toml, or by hand)"
        );
        session.say(Level::Warning, text);
    }
    if restores.is_empty() {
        return Err(Fault::new(format!("no dump of generation {} is of a database that runs", target.number))
            .hint(format!("ls {}; xr rollback goes back and leaves the data alone", folder(session))));
    }
    let need = restores.iter().map(|restore| restore.size).sum::<u64>().saturating_mul(GROWTH);
    let engine = session.engine.info().await?;
    super::checks::room(Path::new(&engine.root), need, "xr prune; docker image prune")?;
    Ok(restores)
}

/// Refuses a damaged dump. A large one takes its time, in which a signal is heard.
async fn checked(session: &Session<'_>, backup: &Backup, dump: &dumps::Dump) -> Result<()> {
    session.phase("check the dump");
    let (backup, dump, cancel) = (backup.clone(), dump.clone(), session.cancel.clone());
    let path = xr_model::shell(&dump.path);
    let check = tokio::task::spawn_blocking(move || dumps::refuse_damaged(&backup, &dump, &cancel));
    let checked = check.await.map_err(Fault::at("a thread died"))?;
    let hint = format!("nothing was changed; tail {path}; xr rollback goes back and leaves the data alone");
    checked.map_err(|fault| fault.hint(hint))
}

fn missing(session: &Session<'_>, target: &Generation, backup: &Backup) -> Fault {
    let text = format!("there is no backup `{}` of generation {} ({})", backup.name, target.number, target.version);
    let known: Vec<String> = dumps::all(&session.home.backups())
        .unwrap_or_default()
        .into_iter()
        .filter(|dump| dump.backup == backup.name)
        .map(|dump| format!("generation {} ({})", dump.generation, dump.taken))
        .collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Fault::new(text)
        .hint(format!("there are, in {}: {known}; xr rollback goes back and leaves the data alone", folder(session)))
}

fn folder(session: &Session<'_>) -> String {
    xr_model::shell(&session.home.backups()).to_string()
}
