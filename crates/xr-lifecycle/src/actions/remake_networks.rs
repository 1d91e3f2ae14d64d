//! Remove networks whose definition changes, so that compose makes them anew; nobody on them runs any more.
//!
//! Compose itself does so since 2.31, without telling and with containers that nobody starts again; before that it leaves a
//! network as it is for ever.

use xr_model::{Attachment, RemadeNetwork, Result};
use xr_session::{Failure, Session};

use super::Run;

pub(crate) async fn act(
    run: &Run<'_, '_>,
    networks: &[RemadeNetwork],
    places: &[Attachment],
) -> std::result::Result<(), Failure> {
    remove(run.session, networks, places).await?;
    Ok(())
}

/// The networks as they were. Who stood there is put back when it is started.
pub(crate) async fn undo(session: &Session<'_>, networks: &[RemadeNetwork], places: &[Attachment]) -> Result<()> {
    remove(session, networks, places).await?;
    for network in networks {
        session.engine.make_network(&network.definition).await?;
    }
    Ok(())
}

async fn remove(session: &Session<'_>, networks: &[RemadeNetwork], places: &[Attachment]) -> Result<()> {
    for place in places {
        session.engine.detach(place).await?;
    }
    for network in networks {
        session.engine.remove_network(&network.name).await?;
    }
    Ok(())
}
