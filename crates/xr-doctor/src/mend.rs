//! The safe repairs, under the lock.

use xr_journal::{Ownership, RunLock, write_atomic};
use xr_lifecycle::{Recovery, recover};
use xr_model::{Fault, Outcome, Result, Verdict};
use xr_session::Session;

use crate::{
    finding::{Finding, Fix},
    rights,
};

/// What became of one repair.
#[derive(Debug)]
pub struct Mended {
    /// What was to be done, in words.
    pub title: String,
    /// How it went.
    pub result: Result<()>,
}

/// Makes the repairs that the findings offer. A killed run is finished alone: everything else looks different afterwards.
///
/// # Errors
/// When another run holds the lock. What a single repair ran into is in its [`Mended`].
pub async fn mend(session: &Session<'_>, findings: &[Finding]) -> Result<Vec<Mended>> {
    let mut fixes: Vec<&Fix> = findings.iter().filter_map(|finding| finding.fix.as_ref()).collect();
    if fixes.is_empty() {
        return Ok(Vec::new());
    }
    let _lock = RunLock::take(&session.home, "doctor --fix", &xr_session::now())?;
    if fixes.contains(&&Fix::Recover) {
        fixes.retain(|fix| **fix == Fix::Recover);
    }
    let mut mended = Vec::new();
    for fix in fixes {
        mended.push(Mended { title: fix.title(), result: make(session, fix).await });
    }
    Ok(mended)
}

async fn make(session: &Session<'_>, fix: &Fix) -> Result<()> {
    match fix {
        Fix::Recover => match recover(session).await? {
            Some(Recovery { outcome: Outcome { verdict: Verdict::Degraded, hint, .. }, .. }) => {
                Err(Fault::new(hint.unwrap_or_default()))
            }
            _ => Ok(()),
        },
        Fix::Mode { path, mode } => rights::set_mode(&session.root, path, *mode)
            .map_err(Fault::at(format!("cannot change the mode of {}", path.display()))),
        Fix::Owner { paths, uid, gid } => paths.iter().try_for_each(|path| {
            rights::give(&session.root, path, *uid, *gid).map_err(|error| {
                Fault::new(format!("cannot give {} to {uid}:{gid}", path.display()))
                    .because(error)
                    .hint("run xr doctor --fix with sudo")
            })
        }),
        Fix::Duplicate { key } => edit(session, |env| env.collapse_duplicates(key).map(drop)),
        Fix::Respell { how, .. } => edit(session, |env| env.apply(how)),
        Fix::VersionKey { key, version } => edit(session, |env| env.set(key, version.as_str()).map(drop)),
        Fix::VersionFile { version } => write_atomic(
            &session.stack.layout.version_path(),
            format!("{version}\n").as_bytes(),
            0o644,
            Ownership::Keep,
        ),
        Fix::Retag { image, reference } => session.engine.tag(image, reference).await,
        Fix::RemoveContainer { id, .. } => {
            session.engine.stop(id, None).await?;
            session.engine.remove(id, true).await
        }
        Fix::StartContainer { id, .. } => session.engine.start(id).await,
    }
}

/// Reads `.env` anew for each edit: the one before may have changed it.
fn edit(
    session: &Session<'_>,
    change: impl FnOnce(&mut xr_env_writer::EnvFile) -> std::result::Result<(), xr_env_writer::EditError>,
) -> Result<()> {
    let path = session.stack.layout.env_path();
    let mut env = xr_session::parse_env(&path)?.ok_or_else(|| Fault::new(format!("{} is gone", path.display())))?;
    let before = env.to_bytes();
    change(&mut env).map_err(Fault::at(format!("cannot edit {}", path.display())))?;
    if env.to_bytes() == before {
        return Ok(());
    }
    write_atomic(&path, &env.to_bytes(), 0o600, Ownership::Keep)
}
