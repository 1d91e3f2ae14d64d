//! The clock: a wrong one breaks TLS, tokens and the order of backups.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use xr_host::Cmd;

use crate::check::Check;

/// 2026-01-01: xr did not exist before.
const EARLIEST: u64 = 1_767_225_600;
/// 2100-01-01.
const LATEST: u64 = 4_102_444_800;

pub(super) fn examine() -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    judge(now, synchronized())
}

fn judge(now: u64, synchronized: Option<bool>) -> Check {
    const HINT: &str = "timedatectl set-ntp true, or: date -u -s 'YYYY-MM-DD HH:MM:SS'";
    if !(EARLIEST..LATEST).contains(&now) {
        return Check::problem("clock", format!("the machine says it is {now} seconds after 1970"), HINT);
    }
    match synchronized {
        Some(false) => Check::warning("clock", "not synchronised by NTP", HINT),
        Some(true) => Check::good("clock", "synchronised by NTP"),
        None => Check::good("clock", "plausible"),
    }
}

/// What systemd knows of NTP; `None` where there is nobody to ask.
fn synchronized() -> Option<bool> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let output = Cmd::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).run().ok()?;
    match output.text().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    #[test]
    fn a_clock_before_xr_or_in_another_century_is_a_problem() {
        for (now, synchronized, grade) in [
            (0, None, Grade::Problem),
            (EARLIEST - 1, Some(true), Grade::Problem),
            (EARLIEST + 1, None, Grade::Good),
            (EARLIEST + 1, Some(false), Grade::Warning),
            (LATEST + 1, Some(true), Grade::Problem),
        ] {
            assert_eq!(judge(now, synchronized).grade, grade, "{now} {synchronized:?}");
        }
    }
}
