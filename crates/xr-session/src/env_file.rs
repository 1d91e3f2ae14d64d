//! Reading an `.env`, with faults that name file, line and column.

use std::{io, path::Path};

use xr_env_writer::EnvFile;
use xr_model::{Fault, Result};

/// Reads an `.env`; `None` when there is none.
///
/// # Errors
/// Unreadable, not UTF-8, not an env file, or a key set twice: names file and line.
pub fn read_env(path: &Path) -> Result<Option<EnvFile>> {
    let Some(file) = parse_env(path)? else { return Ok(None) };
    if let Some(duplicate) = file.duplicates().first() {
        let lines: Vec<String> = duplicate.lines.iter().map(ToString::to_string).collect();
        let last = duplicate.lines.last().copied().unwrap_or(0);
        return Err(Fault::new(format!(
            "{}:{last}: {} is set more than once (lines {}); compose takes the last, other readers the first",
            path.display(),
            duplicate.key,
            lines.join(", ")
        ))
        .hint("keep one of the lines; `xr doctor --fix` keeps the last, as compose does"));
    }
    Ok(Some(file))
}

/// As [`read_env`], duplicates allowed.
///
/// # Errors
/// As [`read_env`], but for those.
pub fn parse_env(path: &Path) -> Result<Option<EnvFile>> {
    let bytes = match xr_stack::read_small(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Fault::new(format!("cannot read {}", path.display()))
                .because(error)
                .hint(format!("ls -l {}", xr_model::shell(&path))));
        }
    };
    EnvFile::parse(&bytes).map(Some).map_err(|error| {
        let fault = Fault::new(format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.kind));
        let not_text = matches!(error.kind, xr_env_writer::ParseErrorKind::NotUtf8);
        fault.hint(if not_text {
            format!("iconv -f LATIN1 -t UTF-8 {0} > {0}.utf8, look at it, then move it over", path.display())
        } else {
            "expected KEY=value, a comment or an empty line; `xr env check` explains each line".to_owned()
        })
    })
}
