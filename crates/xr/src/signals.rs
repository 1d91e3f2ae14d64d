//! Ctrl-C and SIGTERM: the first asks the run to go back in good order, the third ends xr at once (the journal remembers).

use tokio::signal::unix::{SignalKind, signal};
use xr_engine::Cancel;

/// A wish to stop that SIGINT, SIGTERM and SIGHUP raise.
pub fn listen() -> Cancel {
    let cancel = Cancel::default();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let Ok(mut stream) = signal(kind) else { continue };
        let cancel = cancel.clone();
        tokio::spawn(async move {
            let mut times = 0;
            while stream.recv().await.is_some() {
                cancel.raise();
                times += 1;
                if times == 3 {
                    std::process::exit(i32::from(xr_model::exit::INTERRUPTED));
                }
            }
        });
    }
    cancel
}
