//! Remove the old containers, and none of their volumes: the new ones may have them, and what nobody has any more is the
//! admin's to delete. The run has succeeded by now: what cannot be removed is only in the way.

use xr_model::Swap;
use xr_session::{Failure, Session};

pub(crate) async fn act(session: &Session<'_>, swaps: &[Swap]) -> Result<(), Failure> {
    for old in swaps.iter().flat_map(|swap| &swap.old) {
        session.engine.stop(&old.id, None).await?;
        session.engine.remove(&old.id, false).await?;
    }
    Ok(())
}
