//! How readers other than compose see one spelled value: dotenvy itself, and small models of `sh` and python-dotenv.

/// What dotenvy reads in `KEY=<spelling>`; `None` if it refuses.
pub(crate) fn dotenvy(spelling: &str) -> Option<String> {
    let line = format!("KEY={spelling}\n");
    let mut read = dotenvy::Iter::new(line.as_bytes());
    let (_, value) = read.next()?.ok()?;
    read.next().is_none().then_some(value)
}

/// What `. ./.env` in a POSIX shell assigns; `None` where it would do something else than assign a fixed text.
pub(crate) fn sh(spelling: &str) -> Option<String> {
    if let Some(inside) = enclosed(spelling, '\'') {
        return (!inside.contains('\'')).then(|| inside.to_owned());
    }
    let Some(inside) = enclosed(spelling, '"') else {
        let plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
        return spelling.chars().all(plain).then(|| spelling.to_owned());
    };
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('$' | '`' | '"' | '\\') => out.push(c),
                '\n' => {}
                c => out.extend(['\\', c]),
            },
            '$' | '`' | '"' => return None,
            _ => out.push(c),
        }
    }
    Some(out)
}

/// What python-dotenv (with its default interpolation, which also works inside single quotes) reads.
pub(crate) fn python(spelling: &str) -> Option<String> {
    let value = if let Some(inside) = enclosed(spelling, '\'') {
        unescape(inside, '\'', |c| matches!(c, '\\' | '\'').then_some(c))?
    } else if let Some(inside) = enclosed(spelling, '"') {
        unescape(inside, '"', |c| match c {
            '\\' | '\'' | '"' => Some(c),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            _ => None,
        })?
    } else {
        spelling.to_owned()
    };
    // It reads the file with universal newlines, and replaces `${NAME}` in every value.
    (!value.contains("${") && !spelling.contains('\r')).then_some(value)
}

fn enclosed(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}

fn unescape(inside: &str, quote: char, decode: impl Fn(char) -> Option<char>) -> Option<String> {
    let mut out = String::new();
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(next)) if decode(next).is_some() => {
                out.extend(decode(next));
                chars.next();
            }
            (c, _) if c == quote => return None,
            (c, _) => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_has_its_own_idea_of_a_spelling() {
        for (spelling, by_dotenvy, by_sh, by_python) in [
            ("plain", Some("plain"), Some("plain"), Some("plain")),
            ("a&b", Some("a&b"), None, Some("a&b")),
            ("a\"b\"", Some("ab"), None, Some("a\"b\"")),
            ("'a $b'", Some("a $b"), Some("a $b"), Some("a $b")),
            (r#""\$5""#, Some("$5"), Some("$5"), Some(r"\$5")),
            (r#""a\nb""#, Some("a\nb"), Some(r"a\nb"), Some("a\nb")),
            (r"'a\\b'", Some(r"a\\b"), Some(r"a\\b"), Some(r"a\b")),
        ] {
            assert_eq!(dotenvy(spelling).as_deref(), by_dotenvy, "dotenvy {spelling}");
            assert_eq!(sh(spelling).as_deref(), by_sh, "sh {spelling}");
            assert_eq!(python(spelling).as_deref(), by_python, "python {spelling}");
        }
    }
}
