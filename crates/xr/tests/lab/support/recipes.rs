//! The recipes of docs/operations.md, as an admin copies them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A fenced block of the page.
pub struct Recipe {
    /// What the fence says: `sh`, `cron` or `ini`.
    pub kind: String,
    /// Its first line; of `sh` without the `# `.
    pub when: String,
    pub text: String,
}

/// All blocks of the page, in its order. A block of commands without a first line that says when, or one that is indented
/// instead of fenced, is a fault of the page.
pub fn recipes() -> Result<Vec<Recipe>> {
    let page = page();
    let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut open: Option<Recipe> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("operations.md:{number}");
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => {
                open = Some(Recipe { kind: kind.to_owned(), when: String::new(), text: String::new() });
            }
            (Some(_), Some(_)) => recipes.extend(open.take()),
            (None, Some(recipe)) if recipe.text.is_empty() => {
                let when = if recipe.kind == "sh" { line.strip_prefix("# ") } else { Some(line) };
                recipe.when = when.with_context(|| format!("{place}: the first line says when: # …"))?.to_owned();
                recipe.text = format!("{line}\n");
            }
            (None, Some(recipe)) => recipe.text += &format!("{line}\n"),
            (None, None) => ensure!(!line.starts_with("    "), "{place}: an indented block; fence it"),
        }
    }
    ensure!(open.is_none(), "a block has no end");
    let mut names: Vec<&str> =
        recipes.iter().map(|recipe| recipe.when.as_str()).filter(|when| *when != "[Unit]").collect();
    names.sort_unstable();
    ensure!(names.windows(2).all(|pair| pair[0] != pair[1]), "two recipes say the same of when: {names:#?}");
    Ok(recipes)
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md")
}

/// The text with the placeholders that the page names at its beginning replaced, where they stand as words of their own.
pub fn fill_in(text: &str, values: &BTreeMap<&str, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        let mut pieces = text.split(name);
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let within = filled.ends_with(part) || piece.starts_with(part);
            filled += if within { name } else { value };
            filled += piece;
        }
        filled
    })
}
