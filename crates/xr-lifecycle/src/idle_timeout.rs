//! How long a program that runs in a container is waited for.

use std::time::Duration;

use tokio::sync::Notify;
use xr_session::Cancel;

/// Ends when nothing was `heard` of the program for that long, or when the run is to end.
pub(crate) async fn silence(heard: &Notify, patience: Duration, cancel: &Cancel) {
    let silent = async { while tokio::time::timeout(patience, heard.notified()).await.is_ok() {} };
    tokio::select! {
        () = silent => {}
        () = cancel.raised() => {}
    }
}
