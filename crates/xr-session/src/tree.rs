//! Where a generation's files lie.

use std::path::{Path, PathBuf};

use xr_journal::Generations;

use crate::Session;

/// The folder that stands for the stack's root in a generation: named like it, because compose derives the project's name from it.
pub fn root_of(session: &Session<'_>, number: u32) -> PathBuf {
    root_in(&session.generations, &session.root, number)
}

/// The same of the stack at `root`.
pub fn root_in(generations: &Generations, root: &Path, number: u32) -> PathBuf {
    generations.files(number).join(root.file_name().unwrap_or_default())
}
