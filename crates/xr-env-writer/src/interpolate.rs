//! `$NAME` and `${NAME:-default}` inside a value, as compose-go's `template` package substitutes them.

/// A value that `docker compose` refuses to interpolate, which makes it refuse the whole file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// `${` without a name or without its `}` on the same line.
    #[error("`${{` does not begin a valid `${{NAME}}` reference")]
    Invalid,
    /// `${NAME:?message}` or `${NAME?message}`, and the variable is missing.
    #[error("required variable {name} is missing a value: {message}")]
    Required {
        /// The missing variable.
        name: String,
        /// What the author of the file says about it.
        message: String,
    },
}

/// Finds the value of a name; `None` is unset.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Substitutes every reference in `pattern`.
pub(crate) fn interpolate(pattern: &str, lookup: Lookup<'_>) -> Result<String, InterpolationError> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        rest = if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            after
        } else if tail.starts_with('{') {
            let (value, after) = braced(tail, lookup)?;
            out.push_str(&value);
            after
        } else {
            let name = name(tail);
            match name {
                "" => out.push('$'),
                _ => out.push_str(&lookup(name).unwrap_or_default()),
            }
            &tail[name.len()..]
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// The names a pattern asks for, in order, with whether the reference says what to do when the name is unset.
pub(crate) fn references(pattern: &str) -> Vec<(String, bool)> {
    let names = std::cell::RefCell::new(Vec::new());
    let note = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        None
    };
    // A required name ends the walk with an error, after it has been noted.
    let _ = interpolate(pattern, &note);
    let has_default = |name: &String| {
        let open = format!("${{{name}");
        pattern.match_indices(&open).any(|(at, _)| pattern[at + open.len()..].starts_with([':', '-', '+', '?']))
    };
    names.into_inner().into_iter().map(|name| (has_default(&name), name)).map(|(has, name)| (name, has)).collect()
}

/// `tail` begins at the `{`. Returns the value and what follows the reference.
fn braced<'a>(tail: &'a str, lookup: Lookup<'_>) -> Result<(String, &'a str), InterpolationError> {
    let name = name(&tail[1..]);
    let after_name = &tail[1 + name.len()..];
    if name.is_empty() {
        return Err(InterpolationError::Invalid);
    }
    if let Some(after) = after_name.strip_prefix('}') {
        return Ok((lookup(name).unwrap_or_default(), after));
    }
    let operator = [":-", ":+", ":?", "-", "+", "?"].into_iter().find(|operator| after_name.starts_with(operator));
    let operator = operator.ok_or(InterpolationError::Invalid)?;
    // The reference ends at its balancing brace, but only if the line has a closing brace at all.
    let line = tail.split('\n').next().unwrap_or_default();
    let last = line.rfind('}').ok_or(InterpolationError::Invalid)?;
    let end = closing_brace(&line[..=last]).unwrap_or(last);
    let argument = tail.get(1 + name.len() + operator.len()..end).ok_or(InterpolationError::Invalid)?;
    let value = lookup(name);
    let present = value.as_ref().is_some_and(|value| !operator.starts_with(':') || !value.is_empty());
    let value = match (operator.trim_start_matches(':'), present) {
        ("-", false) | ("+", true) => interpolate(argument, lookup)?,
        ("?", false) => {
            return Err(InterpolationError::Required {
                name: name.to_owned(),
                message: interpolate(argument, lookup)?,
            });
        }
        _ => value.unwrap_or_default(),
    };
    Ok((value, &tail[end + 1..]))
}

/// Index of the `}` that balances the `{` at the start. The byte after an opening brace is not looked at, as in compose-go.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut open, mut at) = (0i32, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn name(text: &str) -> &str {
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_alphabetic() || *c == '_' || (*at > 0 && c.is_ascii_digit())))
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str) -> Result<String, InterpolationError> {
        interpolate(pattern, &|name| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "RAW" => Some("$A".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn references_read_as_in_compose() {
        for (pattern, expect) in [
            ("$A", "1"),
            ("${A}x", "1x"),
            ("$Ax", ""),
            ("a$", "a$"),
            ("a$1", "a$1"),
            ("$$A", "$A"),
            ("$$$A", "$1"),
            ("$RAW", "$A"),
            ("${Q:-x}", "x"),
            ("${Q-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:+yes}${Q:+no}", "yes"),
            ("${EMPTY+set}${EMPTY:+no}", "set"),
            ("${Q:-${A}}/${A:-y}", "1/1"),
            ("${Q:-{x}}", "{x}"),
            ("${A:?gone}", "1"),
            ("${A}-${Q:-z}", "1-z"),
        ] {
            assert_eq!(read(pattern).as_deref(), Ok(expect), "{pattern}");
        }
    }

    #[test]
    fn what_compose_refuses_is_an_error() {
        for pattern in ["${", "${}", "${A", "${1}", "${A b}", "${A:-x\n}"] {
            assert_eq!(read(pattern), Err(InterpolationError::Invalid), "{pattern}");
        }
        assert!(matches!(read("${Q:?need it}"), Err(InterpolationError::Required { .. })));
    }
}
