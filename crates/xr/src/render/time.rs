//! Moments and spans as people read them. Records are UTC; a terminal shows the host's own time.

use jiff::{Timestamp, tz::TimeZone};

/// A record's moment in the host's time zone, to the second; as it stands when it is no moment.
pub fn moment(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Seconds from a record's moment until now; none when it is no moment or lies ahead.
pub fn seconds_since(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(Timestamp::now().duration_since(at).as_secs()).ok()
}

/// A span in its largest unit.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_is_no_moment_is_left_as_it_is() {
        assert_eq!(
            (moment("soon").as_str(), seconds_since("soon"), seconds_since("2000-01-01T00:00:00Z").is_some()),
            ("soon", None, true)
        );
    }
}
