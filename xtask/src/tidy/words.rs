//! Words that have been replaced by the field's own do not come back, in public names or in messages.

use anyhow::{Result, bail};

use super::{crates::Crate, modules::sources};

/// Word and what is said instead; of one that has a plural both are meant.
const RETIRED: [(&str, &str); 15] = [
    ("borrower", "namespace user"),
    ("fate", "switch result"),
    ("guilty", "failed container"),
    ("lender", "namespace owner"),
    ("neighbour", "foreign project; of a network: ARP entry"),
    ("obstacle", "blocker"),
    ("picture", "snapshot"),
    ("resident", "exec process"),
    ("roster", "worker list"),
    ("surround", "environment"),
    ("tenant", "engine container"),
    ("trap", "pitfall; of a simulated engine: crash point"),
    ("way_back", "undo, rollback"),
    ("way_out", "escaping symlink"),
    ("weather", "network faults"),
];

/// Checks the names of one crate's public items and modules, and its messages.
pub(super) fn check(one: &Crate) -> Result<()> {
    for (file, text) in sources(&one.src)? {
        let text = text.split("\nmod tests {").next().unwrap_or_default();
        for said in text.lines().filter_map(public_name).chain(literals(text)) {
            if let Some((word, instead)) = RETIRED.iter().find(|(word, _)| says(&said, word)) {
                bail!("{}: `{word}` in `{said}` is said no more: {instead}", file.display());
            }
        }
    }
    Ok(())
}

/// The name of the public item, or of the module, that a line begins.
fn public_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| matches!(*word, "async" | "const" | "unsafe"));
    let first = words.next()?;
    let mut words = words.skip_while(|word| matches!(*word, "async" | "unsafe")).peekable();
    // A constant, unless it is a function that may be called for one.
    if first.starts_with("pub")
        && words.next_if_eq(&"const").is_some()
        && !matches!(words.peek(), Some(&("fn" | "unsafe")))
    {
        return words.next().map(|name| snake(&name.to_lowercase()).trim_end_matches(':').to_owned());
    }
    let mut words = words.skip_while(|word| *word == "unsafe");
    let kind = if first.starts_with("pub") { words.next()? } else { first };
    let is_public = first.starts_with("pub") || kind == "mod";
    let is_item = matches!(kind, "enum" | "fn" | "mod" | "static" | "struct" | "trait" | "type");
    let name = words.next().filter(|_| is_public && is_item)?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(snake(&name[..end]))
}

/// `SwitchResult` → `switch_result`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// What stands between quotes, as far as it is a sentence: one word alone is a key or a program.
fn literals(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace(r#"'"'"#, "").replace(r#"'\"'"#, "");
    let (mut found, mut open, mut escaped) = (Vec::new(), None, false);
    for (at, c) in code.char_indices() {
        match (c, open) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            ('"', None) => open = Some(at + 1),
            ('"', Some(from)) => {
                found.push(code[from..at].to_lowercase());
                open = None;
            }
            _ => {}
        }
    }
    found.retain(|literal| literal.contains(' '));
    found
}

/// Whether `text` has all parts of `word`, one after the other, as words of its own.
fn says(text: &str, word: &str) -> bool {
    let said: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let wanted: Vec<&str> = word.split('_').collect();
    let same = |said: &str, wanted: &str| said.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "" | "s"));
    said.windows(wanted.len()).any(|some| some.iter().zip(&wanted).all(|(said, wanted)| same(said, wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_public_items_are_read_and_others_are_not() {
        for (line, name) in [
            ("pub fn old_places(&self) -> Vec<String> {", Some("old_places")),
            ("    pub(crate) async fn begin<'a>(", Some("begin")),
            ("pub struct SwitchResult {", Some("switch_result")),
            ("mod worker_list;", Some("worker_list")),
            ("pub(crate) const LEAST_MEMORY: u64 = 1;", Some("least_memory")),
            ("pub const fn size() -> usize {", Some("size")),
            ("fn quiet() {", None),
            ("let pub_name = 1;", None),
        ] {
            assert_eq!(public_name(line).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn a_retired_word_is_found_in_a_name_and_in_a_sentence() {
        assert!(says("list_of_tenants", "tenant") && says("the way back", "way_back") && says("way_back", "way_back"));
        assert!(!says("lieutenant", "tenant") && !says("a way that leads back", "way_back"));
        let line = r#"format!("{name} is \"no\" way back", "guilty")"#;
        assert_eq!(literals(line), [r#"{name} is \"no\" way back"#]);
    }
}
