//! From a request to the one release that is meant.

use xr_model::{Fault, Generation, Result};
use xr_session::Session;
use xr_stack::{Channel, Follow};
use xr_version_resolver::{Request as VersionRequest, Resolution, resolve, resolve_install};

use super::{Request, Wanted};

pub(super) async fn resolve_release(
    session: &Session<'_>,
    request: &Request,
    current: Option<&Generation>,
) -> Result<Resolution> {
    let manifest = &session.stack.manifest;
    let base = VersionRequest {
        follow: match manifest.version.follow {
            Follow::Auto => xr_version_resolver::Follow::Auto,
            Follow::Tags => xr_version_resolver::Follow::Tags,
            Follow::Branch => xr_version_resolver::Follow::Branch,
        },
        current: current.map(|g| (g.version.clone(), g.commit.clone())),
        version_path: session.stack.layout.version.clone(),
        ..VersionRequest::default()
    };
    let (install, wanted) = match &request.wanted {
        Wanted::Install { version, .. } => {
            (true, VersionRequest { to: version.clone(), current: None, allow_downgrade: true, ..base })
        }
        Wanted::Update { to, channel, allow_downgrade } => {
            let channel = match channel.unwrap_or(session.site.channel) {
                Channel::Stable => xr_version_resolver::Channel::Stable,
                Channel::Dev => xr_version_resolver::Channel::Dev,
            };
            (false, VersionRequest { to: to.clone(), channel, allow_downgrade: *allow_downgrade, ..base })
        }
        Wanted::Rollback { .. } => return Err(Fault::new("a rollback resolves no release")),
    };
    let (root, clone) = (session.root.clone(), session.checkout.clone());
    let asking = tokio::task::spawn_blocking(move || {
        if install { resolve_install(&root, clone.as_ref(), &wanted) } else { resolve(&root, clone.as_ref(), &wanted) }
    });
    let resolution = asking.await.map_err(Fault::at("a thread died"))??;
    // A release whose tag moved is taken only when the admin says so.
    match (&resolution.moved, request.accept_repushed, &session.checkout) {
        (Some(commit), true, Some(checkout)) => {
            checkout.fetch(&resolution.source, commit)?;
            Ok(Resolution { commit: Some(commit.clone()), unchanged: false, ..resolution })
        }
        (None, _, _) if resolution.unchanged && resolution.commit.is_none() => {
            Ok(Resolution { commit: current.and_then(|g| g.commit.clone()), ..resolution })
        }
        _ => Ok(resolution),
    }
}
