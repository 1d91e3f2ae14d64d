//! Chance that is the same for the same seed.

use std::time::Duration;

/// [xorshift64](https://www.jstatsoft.org/article/view/v008i14)
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Chance from a seed.
    pub fn of(seed: u64) -> Self {
        // The generator's own fixed point is 0, and seeds that differ in a bit shall differ at once.
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }

    /// A moment before `limit`.
    pub fn moment(&mut self, limit: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)))
    }
}
