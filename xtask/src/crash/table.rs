//! The certificate as a table.

use std::time::Duration;

/// How one kind of kill went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// What was killed, and where.
    pub title: String,
    /// Runs that were killed.
    pub kills: u32,
    /// Stacks that were wholly old afterwards.
    pub old: u32,
    /// Stacks that were wholly new.
    pub new: u32,
    /// Stacks that were neither, or down, or of which xr said another thing.
    pub broken: u32,
    /// How long the port was silent; empty where nobody listened to it.
    pub gaps: Vec<Duration>,
}

impl Row {
    /// A row without kills.
    pub fn of(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds the counts of another row to it.
    pub fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.old += other.old;
        self.new += other.new;
        self.broken += other.broken;
        self.gaps.extend(&other.gaps);
    }
}

/// Prints the rows.
pub(crate) fn print(rows: &[Row], seed: u64) {
    println!("\nkilled with everything in its process group; seed {seed}");
    println!("{:<58} {:>6} {:>6} {:>6} {:>8}   port silent", "", "kills", "old", "new", "neither");
    for row in rows {
        let mut gaps = row.gaps.clone();
        gaps.sort();
        let silent = match (gaps.get(gaps.len() / 2), gaps.last()) {
            (Some(median), Some(longest)) => {
                format!("median {:.2} s, longest {:.2} s", median.as_secs_f64(), longest.as_secs_f64())
            }
            _ => String::from("-"),
        };
        println!("{:<58} {:>6} {:>6} {:>6} {:>8}   {silent}", row.title, row.kills, row.old, row.new, row.broken);
    }
}
