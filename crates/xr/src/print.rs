//! What prints. Only a program's own words are passed on elsewhere (`worker logs`). What others wrote does not steer the terminal.

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use xr_model::{exit, printable, printable_json};

/// The first thing that kept a result from being written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A result line on standard output. That it cannot be written disturbs nobody here: see [`delivered`].
pub fn out(line: &str) {
    out_marked("", line);
}

/// A value as it is: a program that reads it gets every byte; only a terminal is spared what would steer it.
pub fn out_value(value: &str) {
    if io::stdout().is_terminal() { out(value) } else { out_marked(value, "") }
}

/// The same after a mark of xr's own, which may be coloured. Nothing else steers the terminal.
pub fn out_marked(mark: &str, line: &str) {
    if let Err(error) = writeln!(io::stdout(), "{mark}{}", printable(line))
        // A reader that went away (`| head`) is no error.
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error); // the first says why
    }
}

/// The exit code of a query: one whose answer got lost must not be taken for one with a short answer. Told in words even
/// with `--json`, since the place for JSON is what cannot be written.
pub fn delivered(code: u8) -> u8 {
    let Some(error) = LOST.get() else { return code };
    err(&format!("error: cannot write the output: {error}"));
    if code == exit::OK { exit::FAILED } else { code }
}

/// A line on standard error.
pub fn err(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// One JSON document on standard output.
pub fn print_json(value: &serde_json::Value) {
    out(&printable_json(&serde_json::to_string_pretty(value).unwrap_or_default()));
}

/// Whether a stream is a terminal that shows colours, and nobody asked for none (<https://no-color.org>).
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}
