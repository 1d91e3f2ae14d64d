//! Backslash escapes inside double quotes, as compose-go expands them.

/// Expands `\a \b \f \n \r \t \v \\ \" \0NNN`; `\$` becomes `$$`, which interpolation turns into one `$`.
/// Every other backslash stays.
pub(crate) fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let Some(next) = tail.chars().next() else {
            rest = &rest[at..];
            break;
        };
        let expanded = match next {
            'a' => "\u{7}",
            'b' => "\u{8}",
            'f' => "\u{c}",
            'n' => "\n",
            'r' => "\r",
            't' => "\t",
            'v' => "\u{b}",
            '\\' => "\\",
            '"' => "\"",
            '$' => "$$",
            '0' => {
                rest = &tail[octal(&tail[1..], &mut out)..];
                continue;
            }
            _ => {
                out.push('\\');
                rest = tail;
                continue;
            }
        };
        out.push_str(expanded);
        rest = &tail[1..];
    }
    out.push_str(rest);
    out
}

/// `\0NNN`: three octal digits are a character; anything less loses its zero and keeps its backslash (compose-go's own
/// quirk). Returns the bytes used, the zero included.
fn octal(tail: &str, out: &mut String) -> usize {
    let digits: String = tail.chars().take(3).take_while(char::is_ascii_digit).collect();
    match u8::from_str_radix(&digits, 8) {
        Ok(byte) if digits.len() == 3 => out.push(char::from(byte)),
        _ => {
            out.push('\\');
            out.push_str(&digits);
        }
    }
    1 + digits.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_expand_as_in_compose() {
        for (input, expect) in [
            (r"plain", "plain"),
            (r"a\nb\rc\td", "a\nb\rc\td"),
            (r"\\n", r"\n"),
            (r"\$X", "$$X"),
            (r"\\\$X", r"\$$X"),
            (r"\q\c", r"\q\c"),
            (r"x\0134", r"x\"),
            (r"it\047s", r"it\47s"),
            (r"a\0b", r"a\b"),
            (r"\0777", r"\777"),
            ("end\\", "end\\"),
            ("a\\\nb", "a\\\nb"),
        ] {
            assert_eq!(expand(input), expect, "{input}");
        }
    }
}
