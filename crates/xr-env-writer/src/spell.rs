//! Spells a value so that as many readers as possible read it back: compose always, then dotenvy, `sh`, python-dotenv.

use crate::readers;

/// The ways to write `value`, best first. Empty if there is none (a NUL byte). The caller checks them in their place
/// with compose's grammar.
pub(crate) fn spellings(value: &str) -> Vec<String> {
    if value.contains('\0') {
        return Vec::new();
    }
    let mut ways = vec![value.to_owned(), format!("'{value}'"), double(value, false), double(value, true)];
    // Stable: among equals the plainest comes first.
    ways.sort_by_key(|way| std::cmp::Reverse(score(way, value)));
    ways.dedup();
    ways
}

fn double(value: &str, escape_newlines: bool) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' => out.extend(['\\', c]),
            '\n' if escape_newlines => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A reader that comes first counts more than all after it together.
fn score(way: &str, value: &str) -> u8 {
    let right = |read: Option<String>| u8::from(read.as_deref() == Some(value));
    4 * right(readers::dotenvy(way)) + 2 * right(readers::sh(way)) + right(readers::python(way))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plainest_spelling_that_all_read_comes_first() {
        for (value, expect) in [
            ("", ""),
            ("v1.2.0", "v1.2.0"),
            ("héllo", "héllo"),
            ("a b", "'a b'"),
            (" a ", "' a '"),
            ("p/a&s$s", "'p/a&s$s'"),
            ("a#b", "'a#b'"),
            ("`id`", "'`id`'"),
            ("say \"x\"", "'say \"x\"'"),
            ("it's", "\"it's\""),
            ("it's $5", "\"it's \\$5\""),
            ("C:\\dir", "'C:\\dir'"),
            ("end\\", "\"end\\\\\""),
            ("a\nb", "'a\nb'"),
            ("it's\nb", "\"it's\nb\""),
        ] {
            assert_eq!(spellings(value)[0], expect, "{value:?}");
        }
    }

    #[test]
    fn a_nul_byte_has_no_spelling() {
        assert!(spellings("a\0b").is_empty());
    }
}
