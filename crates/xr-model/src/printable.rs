//! Text of others' making (tags, logs, file names) that is to be shown: nothing in it steers the terminal.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character does something to a terminal, or to how the text around it is read, rather than being shown.
fn steers(c: char) -> bool {
    let reorders =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    reorders || (c.is_control() && c != '\n' && c != '\t')
}

/// The text with what would steer a terminal spelled out: `\x1b` for ESC. Line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    spelled(text, |out, c| {
        let _ = if u32::from(c) < 0x100 {
            write!(out, "\\x{:02x}", u32::from(c))
        } else {
            write!(out, "{}", c.escape_unicode())
        };
    })
}

/// A JSON document with the same spelled as JSON escapes; it means what it meant.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    spelled(document, |out, c| {
        let _ = write!(out, "\\u{:04x}", u32::from(c)); // all of them are in the basic plane
    })
}

fn spelled(text: &str, spell: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) { spell(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal_and_everything_else_stays() {
        for (text, shown) in [
            ("größe → 3\n\tok", "größe → 3\n\tok"),
            ("\x1b]0;title\x07\x1b[2Jboo", "\\x1b]0;title\\x07\\x1b[2Jboo"),
            ("done\rfailed", "done\\x0dfailed"),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f"),
            ("v1\u{202e}0.1", "v1\\u{202e}0.1"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert!(matches!(printable("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({"a": "\x1b[1m \u{9b} \u{7f} \u{202e}\n"});
        let shown = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&shown);
        assert!(!shown.contains(steers));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
