//! Write into new containers the files that compose itself would write there.
//!
//! Compose does it when it creates a container, since 2.38 when it starts one; xr starts containers itself, and makes twins
//! of some, which have nothing of what was written.

use xr_host::InjectedFile;
use xr_model::{Fault, Result, Swap};
use xr_stack::inline_files;

use super::Run;

pub(crate) async fn act(run: &Run<'_, '_>, swaps: &[&Swap]) -> Result<()> {
    let generation = &run.prepared.generation;
    let injected = |swap: &&&Swap| generation.services.iter().any(|s| s.name == swap.service && s.injected);
    let swaps: Vec<&&Swap> = swaps.iter().filter(injected).collect();
    if swaps.is_empty() {
        return Ok(());
    }
    let session = run.session;
    let resolved = session.resolved(generation).await?;
    // Where this generation has its settings: it may have moved them.
    let stack = xr_stack::load(&xr_session::root_of(session, generation.number))?;
    let env = xr_session::parse_env(&session.root.join(&stack.layout.env))?;
    let value = |key: &str| {
        let set = env.as_ref().and_then(|env| env.get(key)).map(|value| value.text);
        set.or_else(|| std::env::var(key).ok())
    };
    for swap in swaps {
        let files: Vec<InjectedFile> = inline_files(&resolved.json, &swap.service, &value)
            .into_iter()
            .map(|file| InjectedFile { path: file.path, content: file.content, mode: file.mode, owner: file.owner })
            .collect();
        for container in run.new_of(swap).await? {
            session.engine.inject(&container.id, &files).await?;
            // Looked at before it starts: what its program does with them is its own business.
            for file in &files {
                if !session.engine.has_path(&container.id, &file.path).await? {
                    let lost = format!(
                        "{} of the compose file is not in {}, though it was written",
                        file.path, container.name
                    );
                    return Err(Fault::new(lost).hint("please report this, with `docker version`"));
                }
            }
        }
    }
    Ok(())
}
