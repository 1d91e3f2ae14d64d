//! What keeps a way back from being taken and goes away again: an engine that is down, a disk that takes nothing. The run
//! is then left open, and the way back taken later; ended as degraded it would be nobody's business any more.

use std::{path::Path, time::Duration};

use xr_journal::{is_full, takes_writes};
use xr_session::Session;

/// What stands in the way now, as a sentence that tells what to do; nothing when the way back failed for another reason.
pub(crate) async fn obstacle(session: &Session<'_>) -> Option<String> {
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
