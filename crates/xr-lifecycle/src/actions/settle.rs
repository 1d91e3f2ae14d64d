//! Watch that what was started stays up.

use std::time::Duration;

use xr_compose::watch;
use xr_model::Level;
use xr_session::Failure;

use super::{Run, await_healthy};

/// How long a container may take to come up again that fell at a first start.
const AGAIN: Duration = Duration::from_secs(60);
/// How often one may fall at a first start.
const FALLS: u32 = 3;

pub(crate) async fn act(run: &Run<'_, '_>, services: &[String], length: Duration) -> Result<(), Failure> {
    let mut falls = 0;
    loop {
        let mut containers = run.healthy.borrow().clone();
        containers.retain(|c| services.contains(&c.service));
        let Err(failure) = watch::settle(run.session, &containers, length).await else { return Ok(()) };
        let fallen = containers.iter().find(|c| Some(&c.service) == failure.service.as_ref() && c.is_started_again());
        let Some(fallen) = fallen.filter(|_| run.is_cold() && falls < FALLS) else { return Err(failure) };
        // It looked up before what it needs was, and does not say that it needs it: compose leaves that to its restarts.
        falls += 1;
        run.session.say(Level::Warning, format!("{} fell and is started again", fallen.name));
        run.healthy.borrow_mut().retain(|c| c.service != fallen.service);
        await_healthy::act(run, &fallen.service, AGAIN, false).await?;
    }
}
