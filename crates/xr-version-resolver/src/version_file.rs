//! The VERSION file: one line, one version.

use std::{fs, io, path::Path};

use xr_model::{Fault, Result, Version};

/// What a VERSION file must look like; part of every fault.
const EXPECTED: &str = "expected one line such as v1.2.3";

/// Reads the version in the file at `path`.
///
/// # Errors
/// When it is missing, unreadable, empty, not UTF-8, has two lines, or its line is not a version.
pub fn read(path: &Path) -> Result<Version> {
    let name = path.display().to_string();
    let regular = |path: &Path| match fs::metadata(path)?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false if !fs::metadata(path)?.is_file() => Err(io::Error::other("not a regular file")),
        false => fs::read(path),
    };
    let bytes = regular(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let hint = format!("echo v1.2.3 > {name}   # the version that you received");
            return Fault::new(format!("{name} is missing: {EXPECTED}")).hint(hint);
        }
        Fault::new(format!("cannot read {name}: {error}")).hint(format!("ls -l {name}"))
    })?;
    parse(&name, &bytes).map_err(|fault| match fs::read_link(path) {
        // Somebody's link to a file of the host's: what is in that is not told.
        Ok(target) => {
            Fault::new(format!("{name} is a link to {}, which is no version file: {EXPECTED}", target.display()))
                .hint(format!("ls -l {name}"))
        }
        Err(_) => fault,
    })
}

/// The version in `bytes`; `name` says in faults where they come from.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, bytes: &[u8]) -> Result<Version> {
    let hint = || format!("cat -A {name}");
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Fault::new(format!("{name}:{line}: not UTF-8 text: {EXPECTED}")).hint(hint())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text); // some editors write a byte order mark
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let Some((number, line)) = lines.next() else {
        return Err(Fault::new(format!("{name}:1: empty: {EXPECTED}")).hint(hint()));
    };
    if let Some((second, extra)) = lines.next() {
        return Err(Fault::new(format!("{name}:{second}: a second line `{}`: {EXPECTED}", shorten(extra))).hint(hint()));
    }
    line.parse().map_err(|_| {
        Fault::new(format!("{name}:{number}: `{}` is not a version: {EXPECTED}", shorten(line))).hint(hint())
    })
}

/// At most 40 printable characters of `text`.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_version_whatever_surrounds_it() {
        for text in ["v1.1.0", "v1.1.0\n", "\n  v1.1.0 \r\n\n", "\u{feff}v1.1.0\n"] {
            assert_eq!(parse("VERSION", text.as_bytes()).expect(text).as_str(), "v1.1.0");
        }
    }

    #[test]
    fn anything_else_names_the_line_and_what_was_found() {
        let long = "x".repeat(100);
        let table: [(&[u8], &str); 10] = [
            (b"", "VERSION:1: empty"),
            (b" \n\n", "VERSION:1: empty"),
            (b"v1.0.0\nv1.1.0\n", "VERSION:2: a second line `v1.1.0`"),
            (b"\n<<<<<<< HEAD", "VERSION:2: `<<<<<<< HEAD` is not a version"),
            (b"\nv1\xff", "VERSION:2: not UTF-8"),
            (long.as_bytes(), "xxx…` is not a version"),
            (b"v1.0.0$(touch /tmp/x)", "`v1.0.0$(touch /tmp/x)` is not a version"),
            (b"v1.0.0\x1b[2J", "`v1.0.0?[2J` is not a version"),
            (b"--upload-pack=x", "is not a version"),
            (b"../../v1.0.0", "is not a version"),
        ];
        for (bytes, message) in table {
            let fault = parse("VERSION", bytes).expect_err(message);
            assert!(fault.message.contains(message) && fault.message.contains(EXPECTED), "{}", fault.message);
            assert!(fault.hint.is_some());
        }
    }

    #[test]
    fn nothing_is_told_of_a_file_that_a_link_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc/self/status", dir.path().join("VERSION")).unwrap();
        let message = read(&dir.path().join("VERSION")).unwrap_err().message;
        assert!(message.contains("is a link to /proc/self/status") && !message.contains("Name:"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = read(Path::new("/nonexistent/VERSION")).expect_err("missing");
        assert!(fault.message.starts_with("/nonexistent/VERSION is missing") && fault.hint.is_some());
    }
}
