//! What the product expects of its host: data folders and a certificate. Only what is missing is made.

use xr_model::Result;
use xr_preflight::{
    certificate::{self, FileNames},
    folders::{self, Folder},
};
use xr_session::Session;
use xr_stack::Stack;

/// Days a self-signed certificate is good for.
const DAYS: u32 = 3650;

pub(crate) fn provide(session: &Session<'_>, stack: &Stack) -> Result<()> {
    let wanted: Vec<Folder> = stack
        .manifest
        .folders
        .iter()
        .map(|folder| Folder {
            path: session.root.join(folder.path.replace("{name}", &stack.name)),
            mode: folder.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o755),
            uid: None,
            gid: None,
        })
        .collect();
    folders::ensure(&wanted)?;
    let Some(rule) = &stack.manifest.certificate else { return Ok(()) };
    let folder = session.root.join(&rule.directory);
    if rule.if_mentioned {
        let last = rule.directory.rsplit('/').next().unwrap_or(&rule.directory);
        let mentioned = stack.layout.files.iter().any(|file| {
            std::fs::read_to_string(session.root.join(file)).is_ok_and(|text| text.contains(&format!("/{last}")))
        });
        if !mentioned {
            return Ok(());
        }
    }
    let env = xr_session::parse_env(&session.root.join(&stack.layout.env))?;
    let public = stack.manifest.public_host.as_ref().and_then(|key| env.as_ref()?.get(key)).map(|v| v.text);
    let names: Vec<String> = public.into_iter().filter(|name| !name.is_empty()).collect();
    let files = FileNames { certificate: rule.certificate.clone(), key: rule.key.clone() };
    folders::ensure(&[Folder { path: folder.clone(), mode: 0o755, uid: None, gid: None }])?;
    certificate::ensure_self_signed(&folder, &files, &names, DAYS).map(drop)
}
