//! What the publisher says of `.env`: the `.env` of the release's own tree where it has one, else its template.

use std::path::{Path, PathBuf};

use xr_env_writer::EnvFile;
use xr_model::{Fault, Generation, Result};
use xr_session::parse_env;
use xr_stack::Layout;
use xr_version_resolver::Checkout;

/// The two templates of a merge.
#[derive(Debug)]
pub(crate) struct Templates {
    /// What the present release says.
    pub old: Option<EnvFile>,
    /// What the next one says.
    pub new: Option<EnvFile>,
    /// Whether a key of `old` that the admin's file lacks was taken out of it, as opposed to never having come in.
    pub absence_is_meant: bool,
}

/// Where the present release is found.
pub(crate) struct Present<'a> {
    pub layout: &'a Layout,
    pub checkout: Option<&'a Checkout>,
    pub generation: Option<&'a Generation>,
    /// Where the files of that generation are kept.
    pub kept: Option<PathBuf>,
}

impl Templates {
    /// Reads them. `next` is the layout of the staged release, `commit` what it was staged from.
    ///
    /// # Errors
    /// A template that cannot be read, or is no env file.
    pub fn read(present: &Present<'_>, next: &Layout, commit: Option<&str>) -> Result<Self> {
        let file = |path: Option<PathBuf>| path.map_or(Ok(None), |path| parse_env(&path));
        let new = match (present.checkout, commit) {
            (Some(checkout), Some(commit)) => tracked(checkout, commit, &next.env)?,
            _ => None,
        };
        let new = match new {
            Some(new) => Some(new),
            None => file(next.template_path())?,
        };
        if let Some(old) = present.tracked() {
            // It came with the clone, so what is not there now was taken out.
            return Ok(Self { old: Some(old), new, absence_is_meant: true });
        }
        let old = match &present.kept {
            Some(kept) => file(present.layout.template.as_ref().map(|path| kept.join(path)))?,
            None => file(present.layout.template_path())?,
        };
        Ok(Self { old, new, absence_is_meant: present.generation.is_some() })
    }
}

impl Present<'_> {
    /// The present release's own `.env`. One that cannot be had any more is no reason to stop: the admin's values win then.
    fn tracked(&self) -> Option<EnvFile> {
        let checkout = self.checkout?;
        let commit = match self.generation {
            Some(generation) => generation.commit.clone()?,
            None => checkout.head().ok()?.commit,
        };
        tracked(checkout, &commit, &self.layout.env).ok().flatten()
    }
}

/// The `.env` that `commit` itself has at `path`; none when it tracks no such file.
///
/// # Errors
/// When the commit is not in the clone, or its file is no env file.
pub fn tracked(checkout: &Checkout, commit: &str, path: &str) -> Result<Option<EnvFile>> {
    let Some(bytes) = checkout.read(commit, path)? else { return Ok(None) };
    EnvFile::parse(&bytes).map(Some).map_err(|error| {
        let place = Path::new(path).display();
        Fault::new(format!("{place} as released:{}:{}: {}", error.line, error.column, error.kind)).hint(format!(
            "git -C {} show {commit}:{place}   # the publisher must mend it",
            xr_model::shell(&checkout.root())
        ))
    })
}

#[cfg(test)]
mod tests;
