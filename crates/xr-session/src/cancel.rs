//! Cancellation: raised by a signal, honoured between steps and inside waits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A cancellation that everybody can see.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    raised: Arc<AtomicBool>,
    bell: Arc<Notify>,
}

impl Cancel {
    /// Asks for it.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    /// Whether it was asked for.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Waits until it is asked for.
    pub async fn raised(&self) {
        loop {
            let rung = self.bell.notified();
            if self.is_raised() {
                return;
            }
            rung.await;
        }
    }
}
