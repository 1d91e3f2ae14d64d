//! Ctrl-C and SIGTERM: the first asks the run to go back in good order, the second leaves at once. The end of the
//! terminal (SIGHUP) is no reason to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use xr_session::Cancel;

use crate::{guard, print::err};

/// A cancellation that SIGINT and SIGTERM ask for.
pub fn listen() -> Cancel {
    let cancel = Cancel::default();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let Some(mut stream) = stream(kind) else { continue };
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if cancel.is_raised() {
                    leave();
                }
                cancel.raise();
                err("stopping: what has begun is taken back; once more leaves at once");
            }
        });
    }
    ignore_hangup();
    cancel
}

/// Nothing that is sent to a terminal's programs ends this process.
pub fn ignore() {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        drop(stream(kind));
    }
    ignore_hangup();
}

/// Listening replaces the signal's default, the end of the process; that lasts when nobody listens any more.
fn ignore_hangup() {
    drop(stream(SignalKind::hangup()));
}

/// A signal that cannot be listened to keeps its default.
fn stream(kind: SignalKind) -> Option<Signal> {
    signal(kind).ok()
}

/// At once, with every program that was started; the journal knows what is left to do, and the guard does it.
fn leave() -> ! {
    xr_host::kill_children();
    if guard::is_posted() {
        err("left; what had begun is being taken back in the background: xr status");
    }
    std::process::exit(i32::from(xr_model::exit::INTERRUPTED));
}
