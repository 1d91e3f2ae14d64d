//! Stop old containers that ran beside the new ones; they stay on the disk until the run has succeeded.

use futures_util::future;
use xr_model::{Result, Swap};
use xr_session::{Failure, Session};

use super::{
    Run,
    switch_over::{bring_back, retire},
};

pub(crate) async fn act(run: &Run<'_, '_>, swap: &Swap) -> std::result::Result<(), Failure> {
    retire(run.session, swap).await?;
    let stops = future::join_all(swap.old.iter().map(|old| run.session.engine.stop(&old.id, None))).await;
    stops.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(())
}

/// Back on their networks, then started.
pub(crate) async fn undo(session: &Session<'_>, swap: &Swap) -> Result<()> {
    for old in swap.old.iter().filter(|old| old.is_running()) {
        if session.engine.container(&old.id).await?.is_none() {
            continue;
        }
        for place in &old.networks {
            session.engine.attach(place).await?;
        }
    }
    bring_back(session, swap).await
}
