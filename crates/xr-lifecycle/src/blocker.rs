//! Temporary conditions that block unwinding: Docker is down, or a disk rejects writes. The run stays open then and is unwound
//! later; if it ended as degraded, no command would try again.

use std::{path::Path, time::Duration};

use xr_journal::{is_full, takes_writes};
use xr_session::Session;

/// What blocks it now, as a sentence that says what to do; none when it failed for another reason.
pub(crate) async fn blocker(session: &Session<'_>) -> Option<String> {
    if !session.engine.await_answer(Duration::ZERO).await {
        return Some("when Docker runs again: xr recover".to_owned());
    }
    // Of an engine elsewhere the folder is not here, and nothing can be told of its disk.
    if let Ok(info) = session.engine.info().await
        && is_full(Path::new(&info.root))
    {
        return Some(format!("the disk of {0} is full (df -h {0}; docker system df); then: xr recover", info.root));
    }
    let refusal = session.disks().iter().find_map(|folder| takes_writes(folder).err())?;
    let hint = refusal.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Some(format!("{}{hint}; then: xr recover", refusal.chain()))
}
