//! How often and how long to try again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Exponential back-off: `first_delay`, twice that, … up to `max_delay`, each spread by `jitter`.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Rounds over all sources, at least one.
    pub attempts: u32,
    /// The wait after the first round.
    pub first_delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// How far a wait may deviate, as a fraction of it (0.0–1.0): a fleet must not come back in step.
    pub jitter: f64,
    /// A source that makes no progress for this long counts as silent; one that limits the rate of downloads is waited for
    /// as long, also when that takes more rounds. (The engine keeps the registry's `Retry-After` to itself.)
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            jitter: 0.25,
            patience: Duration::from_secs(60),
        }
    }
}

impl Retry {
    /// The wait after round `round`, counted from 0.
    pub(crate) fn delay(&self, round: u32) -> Duration {
        self.spread(round, RandomState::new().hash_one(round))
    }

    fn spread(&self, round: u32, random: u64) -> Duration {
        let plain = self.first_delay.saturating_mul(1 << round.min(20)).min(self.max_delay);
        let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
        plain.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * unit - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry { jitter: 0.0, ..Retry::default() };
        let seconds: Vec<_> = (0..7).map(|round| retry.delay(round).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn waits_stay_within_the_jitter() {
        let retry = Retry { jitter: 0.5, ..Retry::default() };
        assert_eq!(retry.spread(0, 0), Duration::from_millis(500));
        assert!(retry.spread(0, u64::MAX) <= Duration::from_millis(1500));
        assert!((0..100).all(|_| (500..=1500).contains(&retry.delay(0).as_millis())));
    }
}
