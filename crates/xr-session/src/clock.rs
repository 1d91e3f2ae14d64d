//! The time, as records write it.

/// Now, RFC 3339, UTC, whole milliseconds.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now).to_string()
}
