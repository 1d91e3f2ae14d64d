//! How many connections are made at once.
//!
//! An sshd as it comes (`MaxStartups 10:30:100`, sshd_config(5)) refuses some of those beyond ten that are not logged in yet, and
//! many hosts may stand behind one: a jump host. Ten at once are never refused. Where that is slow because the network is far,
//! not because this machine is busy, more are tried, until somebody refuses.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// So many are never too many for an sshd as it comes; one is left for others.
const SAFE: usize = 9;
/// Never more than this.
const MOST: usize = 64;
/// A login that takes longer than this waits for the network.
const FAR: Duration = Duration::from_millis(1500);

/// The pace of all connections of this process.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    next: Notify,
    /// Whether this machine itself is what takes long.
    busy: fn() -> bool,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    most: usize,
    refused: bool,
}

/// One connection's turn; the next one's begins with its end.
pub(super) struct Turn<'a>(&'a Pace);

impl Default for Pace {
    fn default() -> Self {
        let state = State { under_way: 0, most: SAFE, refused: false };
        Self { state: Mutex::new(state), next: Notify::new(), busy: machine_is_busy }
    }
}

impl Pace {
    /// Waits for a turn.
    pub async fn turn(&self) -> Turn<'_> {
        loop {
            let next = self.next.notified();
            {
                let mut state = self.state();
                if state.under_way < state.most {
                    state.under_way += 1;
                    return Turn(self);
                }
            }
            next.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The host took it after this time.
    pub fn came_through(self, took: Duration) {
        let mut state = self.0.state();
        if took > FAR && !state.refused && !(self.0.busy)() {
            state.most = (state.most + 1).min(MOST);
        }
    }

    /// The host was too busy: from now on no more than what nobody refuses.
    pub fn was_refused(self) {
        let mut state = self.0.state();
        (state.refused, state.most) = (true, SAFE);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        // As many as fit now: the pace may have grown.
        self.0.next.notify_waiters();
    }
}

/// Whether more wants to run than there are processors for, as the last minute was (proc_loadavg(5)).
fn machine_is_busy() -> bool {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    load > processors as f64 * 0.75
}

/// How long to wait before the next try: longer each time, and never at the same moment as another.
pub(super) fn pause(tries: u32) -> Duration {
    let longest = Duration::from_millis(100) * 2_u32.pow(tries.min(5));
    let share = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    longest / 2 + longest / 2 * (share % 1000) / 1000
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    #[test]
    fn no_more_than_a_default_sshd_takes_are_under_way_at_once() {
        let pace = Pace::default();
        let turns: Vec<_> = (0..SAFE).filter_map(|_| pace.turn().now_or_never()).collect();
        assert_eq!(turns.len(), SAFE);
        assert!(pace.turn().now_or_never().is_none());
        drop(turns);
        assert!(pace.turn().now_or_never().is_some());
    }

    #[test]
    fn a_far_network_is_asked_for_more_until_somebody_refuses() {
        let pace = Pace { busy: || false, ..Pace::default() };
        for _ in 0..5 {
            pace.turn().now_or_never().unwrap().came_through(FAR * 2);
        }
        assert_eq!(pace.state().most, SAFE + 5);
        pace.turn().now_or_never().unwrap().was_refused();
        pace.turn().now_or_never().unwrap().came_through(FAR * 2);
        assert_eq!(pace.state().most, SAFE);
    }

    #[test]
    fn a_busy_machine_is_not_taken_for_a_far_network() {
        let pace = Pace { busy: || true, ..Pace::default() };
        pace.turn().now_or_never().unwrap().came_through(FAR * 2);
        assert_eq!(pace.state().most, SAFE);
    }

    #[test]
    fn everybody_has_a_turn() {
        let pace = Pace::default();
        let all = join_all((0..100).map(|_| async {
            let turn = pace.turn().await;
            tokio::task::yield_now().await;
            turn.came_through(Duration::ZERO);
        }));
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all);
        assert_eq!(pace.state().under_way, 0);
    }
}
