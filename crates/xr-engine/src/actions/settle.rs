//! Watch that what was started stays up.

use std::time::Duration;

use super::Run;
use crate::{failure::Failure, watch};

pub(crate) async fn act(run: &Run<'_, '_>, services: &[String], length: Duration) -> Result<(), Failure> {
    let mut containers = run.healthy.borrow().clone();
    containers.retain(|c| services.contains(&c.service));
    watch::settle(run.world, &containers, length).await
}
