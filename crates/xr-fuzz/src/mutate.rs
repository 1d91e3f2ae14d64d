//! Small changes to known inputs, the same for the same seed.

/// Words that parsers stumble over.
const WORDS: [&[u8]; 24] = [
    b"=",
    b"\"",
    b"'",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"#",
    b"$",
    b"${",
    b"${A:-",
    b"}",
    b"{",
    b"[",
    b"]",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"export ",
    b"v1.2.3",
    b"\"\"\"",
];

/// Makes inputs of other inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The changes of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// An input near to one of `corpus`, which must not be empty.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(16)).min(data.len());
            match self.below(6) {
                0 => data.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied()).for_each(drop),
                1 => drop(data.drain(at..end)),
                2 => {
                    let copy = data[at..end].to_vec();
                    let to = self.below(data.len() + 1);
                    data.splice(to..to, copy).for_each(drop);
                }
                3 if at < data.len() => data[at] = u8::try_from(self.below(256)).unwrap_or_default(),
                4 if at < data.len() => data[at] ^= 1 << self.below(8),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    data.truncate(at);
                    data.extend_from_slice(&other[from..]);
                }
            }
        }
        data
    }

    /// A number below `limit`, by [xorshift64](https://www.jstatsoft.org/article/view/v008i14).
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % limit.max(1) as u64).unwrap_or_default()
    }
}
