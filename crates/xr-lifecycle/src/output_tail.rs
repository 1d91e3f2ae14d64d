//! The end of what a program says: all that is shown of it, however much it is.

/// Bytes that are kept.
const KEPT: usize = 64 << 10;
/// Lines that are shown.
const LINES: usize = 20;

/// The end of what a program says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    /// Hears more.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * KEPT {
            self.0.drain(..self.0.len() - KEPT);
        }
    }

    /// The last lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_the_last_lines_are_kept_and_little_memory() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.take(format!("line {number}\n").as_bytes());
        }
        assert!(tail.0.len() <= 2 * KEPT);
        let lines = tail.lines();
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (LINES, Some("line 99999")));
    }
}
