//! Chance that is the same for the same seed.

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
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }
}
