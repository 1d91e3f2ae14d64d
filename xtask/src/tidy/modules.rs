//! The modules of a crate and what each imports, by `use` and by paths inside the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Where a module stands in its crate; the root is empty.
pub(super) type Module = Vec<String>;

/// The files below a crate's `src/` with their text.
pub(super) fn sources(src: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A crate's modules, each with the modules that it imports and, where it is the door of a folder, those in the folder. What it only
/// hands on (`pub use`) it does not import; who imports that imports where it comes from. The crate's root, programs in `bin/` and
/// unit tests are left out.
pub(super) fn imports(src: &Path) -> Result<BTreeMap<Module, BTreeSet<Module>>> {
    let (mut texts, mut untested) = (BTreeMap::new(), BTreeSet::new());
    for (path, text) in sources(src)? {
        let inside = path.strip_prefix(src)?.with_extension("");
        let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module[0] == "bin" {
            continue;
        }
        if module.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
            module.pop();
        }
        let (code, tests) = code(&text);
        for name in tests {
            untested.insert(module.iter().cloned().chain([name]).collect::<Module>());
        }
        texts.insert(module, code);
    }
    texts.retain(|module, _| !untested.contains(module));
    let mut paths: BTreeMap<&Module, Vec<Found>> = BTreeMap::new();
    for (module, text) in &texts {
        paths.insert(module, found(text));
    }
    let names = Names { texts: &texts, paths: &paths };
    let of = |module: &Module| -> BTreeSet<Module> {
        let imported = paths[module].iter().filter(|found| !found.handed_on);
        let to = imported.filter_map(|found| names.resolve(module, &found.path, 0));
        let inside = texts.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module)).cloned();
        to.chain(inside).filter(|to| to != module && !to.is_empty()).collect()
    };
    Ok(texts.keys().filter(|module| !module.is_empty()).map(|module| (module.clone(), of(module))).collect())
}

/// The text without comments and unit tests, which end a file; and the names of files of unit tests.
fn code(text: &str) -> (String, Vec<String>) {
    let (mut code, mut files) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#[")).unwrap_or_default();
            match item.trim().strip_prefix("mod ").and_then(|name| name.strip_suffix(';')) {
                Some(file) => files.push(file.to_owned()),
                None if item.starts_with("mod ") => break,
                None => {}
            }
            continue;
        }
        let comment = line.trim_start().starts_with("//");
        code += if comment { "" } else { line.split(" // ").next().unwrap_or_default() };
        code.push('\n');
    }
    (code, files)
}

/// A path that a text names.
struct Found {
    path: Vec<String>,
    /// Whether it is only handed on.
    handed_on: bool,
}

fn found(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in text.split_inclusive(';') {
        let begins = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with(['}', ']', ';', '{', ')']) || before.ends_with("pub")
        });
        let Some(at) = begins else {
            rest.push_str(statement);
            continue;
        };
        let handed_on =
            statement[..at].trim_end().ends_with("pub") || statement[..at].trim_end().ends_with("pub(crate)");
        rest.push_str(&statement[..at]);
        let tree = statement[at + 4..].trim_end_matches(';');
        found.extend(expanded(tree, &[]).into_iter().map(|path| Found { path, handed_on }));
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in rest.match_indices(start) {
            if rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let path: String = rest[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            found.push(Found { path, handed_on: false });
        }
    }
    found
}

/// The paths of a `use` tree: `a::{b, c::{d, e}}`.
fn expanded(tree: &str, before: &[String]) -> Vec<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in tree.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("begins with one").push(c);
    }
    let mut paths = Vec::new();
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let (head, inner) = match part.split_once('{') {
            Some((head, inner)) => (head, Some(inner.trim_end().trim_end_matches('}'))),
            None => (part.split(" as ").next().unwrap_or(part), None),
        };
        let names = head.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let path: Vec<String> = before.iter().cloned().chain(names).collect();
        match inner {
            Some(inner) => paths.extend(expanded(inner, &path)),
            None => paths.push(path),
        }
    }
    paths
}

/// Which module a name leads to.
struct Names<'a> {
    texts: &'a BTreeMap<Module, String>,
    paths: &'a BTreeMap<&'a Module, Vec<Found>>,
}

impl Names<'_> {
    /// The module that holds what a path names, as seen from `from`; none when that is in another crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at: Module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => from.clone(),
            first => {
                let child: Module = from.iter().cloned().chain([first.to_owned()]).collect();
                self.texts.contains_key(&child).then(|| from.clone())?
            }
        };
        let above = path.iter().take_while(|name| ["crate", "self", "super"].contains(&name.as_str()));
        at.truncate(at.len().saturating_sub(above.clone().filter(|name| *name == "super").count()));
        let mut rest = path.iter().skip(above.count());
        while let Some(name) = rest.next() {
            let child: Module = at.iter().cloned().chain([name.clone()]).collect();
            if self.texts.contains_key(&child) {
                at = child;
                continue;
            }
            let handed_on = self.paths.get(&at).into_iter().flatten().filter(|found| found.handed_on);
            let source = handed_on.filter(|found| found.path.last() == Some(name)).map(|found| &found.path).next();
            return match source {
                Some(source) if depth < 8 => {
                    let whole: Vec<String> = source.iter().chain(rest).cloned().collect();
                    self.resolve(&at.clone(), &whole, depth + 1)
                }
                _ => Some(at),
            };
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_and_what_is_only_for_tests_or_handed_on_is_none() {
        let text = "//! use crate::said;\n#[cfg(test)]\nmod by_side;\nuse std::fs;\nuse crate::{\n    a::B,\n};\npub use inner::C;\n\
                    fn f() { crate::d::e(\"https://x\"); } // crate::f\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n use crate::g;\n}\n";
        let (code, tests) = code(text);
        assert_eq!(tests, ["by_side"]);
        let found = found(&code).into_iter().map(|found| (found.path.join("::"), found.handed_on)).collect::<Vec<_>>();
        let expect = [("std::fs", false), ("crate::a::B", false), ("inner::C", true), ("crate::d::e", false)];
        assert_eq!(found, expect.map(|(path, handed_on)| (path.to_owned(), handed_on)));
    }

    #[test]
    fn a_use_tree_is_every_path_in_it() {
        let paths = expanded("crate::{a, b::{self, c as d}, e::{f::{g, h}}}", &[]);
        let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["crate::a", "crate::b::self", "crate::b::c", "crate::e::f::g", "crate::e::f::h"]);
    }
}
