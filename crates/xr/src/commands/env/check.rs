//! `xr env check`: what is wrong with the file, by line; never a value.

use std::os::unix::fs::MetadataExt;

use serde_json::json;
use xr_env_writer::{EnvFile, PitfallKind, empty_secrets, is_secret_key, known_to_all};
use xr_model::{Result, exit};
use xr_stack::Stack;

use crate::{
    globals::Globals,
    print::{out, print_json},
};

/// One thing to look at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    column: usize,
    /// What kind, in one word.
    kind: String,
    /// Whether it only deserves a look: compose and the product agree on what it means.
    note: bool,
    message: String,
}

/// `xr env check`
pub fn run(globals: &Globals, stack: &Stack) -> Result<u8> {
    let path = stack.layout.env_path();
    let template = stack.layout.template_path().and_then(|path| EnvFile::parse(&std::fs::read(path).ok()?).ok());
    let mut findings = findings(&super::read(&path)?, template.as_ref(), &stack.manifest.version.key);
    let mode = std::fs::metadata(&path).map_or(0, |meta| meta.mode() & 0o777);
    if mode & 0o077 != 0 {
        let message = format!("its mode is {mode:04o}: other users can read the secrets; chmod 600 {}", path.display());
        findings.insert(0, Finding { line: 1, column: 1, kind: "mode".to_owned(), note: false, message });
    }
    let problems = findings.iter().filter(|finding| !finding.note).count();
    if globals.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|f| json!({"line": f.line, "column": f.column, "kind": f.kind, "problem": !f.note, "message": f.message}))
            .collect();
        print_json(&json!({"format": 1, "path": path, "problems": problems, "findings": findings}));
    } else {
        for finding in findings.iter().filter(|finding| !finding.note || !globals.quiet) {
            let word = if finding.note { "note: " } else { "" };
            out(&format!("{}:{}:{}: {word}{}", path.display(), finding.line, finding.column, finding.message));
        }
        if problems == 0 && !globals.quiet {
            out(&format!("{}: no problems", path.display()));
        }
    }
    Ok(if problems == 0 { exit::OK } else { exit::FINDINGS })
}

fn findings(bytes: &[u8], template: Option<&EnvFile>, version_key: &str) -> Vec<Finding> {
    let file = match EnvFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            let message = error.kind.to_string();
            return vec![Finding {
                line: error.line,
                column: error.column,
                kind: "syntax".to_owned(),
                note: false,
                message,
            }];
        }
    };
    let mut findings = Vec::new();
    let mut add = |line: usize, kind: &str, note: bool, message: String| {
        findings.push(Finding { line, column: 1, kind: kind.to_owned(), note, message });
    };
    for pitfall in file.pitfalls() {
        add(pitfall.line, &format!("{:?}", pitfall.kind), is_note(pitfall.kind), pitfall.message);
    }
    for duplicate in file.duplicates() {
        let lines: Vec<String> = duplicate.lines.iter().map(ToString::to_string).collect();
        let last = duplicate.lines.last().copied().unwrap_or(1);
        let differ = if duplicate.values_differ { "with different values" } else { "with the same value" };
        add(
            last,
            "duplicate",
            false,
            format!(
                "{} is set more than once {differ} (lines {}); compose takes the last",
                duplicate.key,
                lines.join(", ")
            ),
        );
    }
    for key in file.keys().into_iter().filter(|key| is_secret_key(key)) {
        let Some(value) = file.get(key) else { continue };
        let default = template.and_then(|template| template.get(key)).map(|default| default.text);
        let Some(what) = known_to_all(&value.text, default.as_deref()) else { continue };
        add(value.line, "placeholder", false, format!("{key} {what}; xr doctor tells how to change it"));
    }
    for one in empty_secrets(&file) {
        let message = format!("{} is empty; where a secret belongs: xr env set {0} --stdin", one.key);
        add(one.line, "empty-secret", true, message);
    }
    if file.get(version_key).is_none_or(|value| value.text.is_empty()) {
        add(1, "version", true, format!("{version_key} is not set; xr writes it where a compose file reads it"));
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// Pitfalls that compose reads as they were meant.
fn is_note(kind: PitfallKind) -> bool {
    matches!(
        kind,
        PitfallKind::Interpolates
            | PitfallKind::Export
            | PitfallKind::SpacesAroundEquals
            | PitfallKind::ColonSeparator
            | PitfallKind::BareKey
            | PitfallKind::DotenvyDiffers
            | PitfallKind::CrLf
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_line_and_kind_and_never_a_value() {
        let template = EnvFile::parse(b"DB_PASSWORD=Kx9.com\nURL=https://x\n").unwrap();
        let cases: [(&str, &[(usize, &str)]); 7] = [
            ("TAG=v1\nA=1\n", &[]),
            ("TAG=v1\nB='hunter2\n", &[(2, "syntax")]),
            ("TAG=v1\nA=hunter2\nA=hunter3\n", &[(3, "duplicate")]),
            ("TAG=v1\nDB_PASSWORD=change-me\n", &[(2, "placeholder")]),
            ("TAG=v1\nDB_PASSWORD=Kx9.com\nURL=https://x\n", &[(2, "placeholder")]),
            ("TAG=v1\nA=   # hunter2\n", &[(2, "CommentAsValue")]),
            ("TAG=v1\nA=1", &[(2, "NoFinalNewline")]),
        ];
        for (text, expect) in cases {
            let found = findings(text.as_bytes(), Some(&template), "TAG");
            let short: Vec<(usize, &str)> =
                found.iter().filter(|f| !f.note).map(|f| (f.line, f.kind.as_str())).collect();
            assert_eq!(short, expect, "{text:?}");
            assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
        }
    }

    #[test]
    fn an_empty_secret_is_a_note() {
        let found = findings(b"TAG=v1\nDB_PASSWORD=\n", None, "TAG");
        assert_eq!(
            found.iter().map(|f| (f.line, f.kind.as_str(), f.note)).collect::<Vec<_>>(),
            [(2, "empty-secret", true)]
        );
    }

    #[test]
    fn a_missing_version_key_is_only_a_note() {
        let found = findings(b"A=1\n", None, "TAG");
        assert!(found.len() == 1 && found[0].note, "{found:?}");
    }
}
