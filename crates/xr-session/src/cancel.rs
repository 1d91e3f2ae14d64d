//! A wish to stop, raised by a signal and honoured between steps and inside waits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A wish to stop that everybody can see.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    raised: Arc<AtomicBool>,
    bell: Arc<Notify>,
}

impl Cancel {
    /// Raises the wish.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Waits until it is raised.
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
