//! The order of runs, which no clock decides: a run's number is the first part of every name that it gives. A clock that
//! is set back between two runs would make the newer one look older.

use std::{fs, path::Path};

use xr_model::Result;

use crate::refusal::refused;

/// What names of journals and backups sort by: the run's number, then the name. Names of before there were numbers begin
/// with a time stamp and are older than all others.
pub fn run_order(name: &str) -> (Option<u64>, &str) {
    (number(name), name)
}

/// `12` of `000012-20260102T030405Z-update`.
fn number(name: &str) -> Option<u64> {
    let (first, _) = name.split_once('-')?;
    first.bytes().all(|byte| byte.is_ascii_digit()).then(|| first.parse().ok()).flatten()
}

/// The number of the next run: greater than all there are, those that were set aside under another ending included.
pub(crate) fn next(journals: &Path) -> Result<u64> {
    let unreadable = |error| refused("read", journals, error);
    let mut count = 0;
    let mut highest = 0;
    for entry in fs::read_dir(journals).map_err(unreadable)? {
        count += 1;
        let name = entry.map_err(unreadable)?.file_name();
        highest = highest.max(number(&name.to_string_lossy()).unwrap_or(0));
    }
    Ok(highest.max(count) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_number_whatever_the_clock_said_and_those_without_one_come_first() {
        let mut names = [
            "000010-20250101T000000Z-update",
            "000009-20270101T000000Z-update",
            "1000000-20240101T000000Z-update",
            "20991231T000000Z-update-812",
            "20260101T000000Z-install-7",
        ];
        names.sort_by_key(|name| run_order(name));
        assert_eq!(
            names,
            [
                "20260101T000000Z-install-7",
                "20991231T000000Z-update-812",
                "000009-20270101T000000Z-update",
                "000010-20250101T000000Z-update",
                "1000000-20240101T000000Z-update",
            ]
        );
    }

    #[test]
    fn the_next_number_is_above_all_that_were_ever_given() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(next(dir.path()).unwrap(), 1);
        for (name, expect) in [
            ("20260101T000000Z-install-7.jsonl", 2),
            ("20260102T000000Z-update-8.jsonl", 3),
            ("000007-20260103T000000Z-update.jsonl.damaged", 8),
        ] {
            fs::File::create(dir.path().join(name)).unwrap();
            assert_eq!(next(dir.path()).unwrap(), expect, "{name}");
        }
    }
}
