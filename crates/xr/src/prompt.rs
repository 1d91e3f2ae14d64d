//! Questions. Every one has a flag; without a terminal nothing is asked.

use std::io::{IsTerminal, stderr, stdin};

use dialoguer::{Confirm, Input, Password};
use xr_model::{Fault, Result, exit};

use crate::globals::Globals;

/// Whether somebody is there to answer.
pub fn is_interactive() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// A yes-or-no question; `--yes` answers it.
///
/// # Errors
/// Refuses when nobody can answer.
pub fn confirm(globals: &Globals, question: &str) -> Result<bool> {
    if globals.yes {
        return Ok(true);
    }
    if !is_interactive() {
        return Err(Fault::new(format!("`{question}` needs an answer, and there is no terminal"))
            .hint("add --yes")
            .code(exit::USAGE));
    }
    Confirm::new().with_prompt(question).default(true).interact().map_err(Fault::at("no answer"))
}

/// Has the user type `word`; no flag answers it but the one that names the word.
///
/// # Errors
/// Refuses when nobody can answer, or the word is another.
pub fn typed(question: &str, word: &str, given: Option<&str>) -> Result<()> {
    let answer = match given {
        Some(given) => given.to_owned(),
        None if is_interactive() => {
            Input::new().with_prompt(question).allow_empty(true).interact_text().map_err(Fault::at("no answer"))?
        }
        None => {
            return Err(Fault::new(format!("`{question}` needs a typed answer, and there is no terminal"))
                .hint(format!("add --confirm {word}"))
                .code(exit::USAGE));
        }
    };
    if answer == word {
        return Ok(());
    }
    Err(Fault::new(format!("`{answer}` is not `{word}`: nothing was deleted")))
}

/// A secret, not shown.
///
/// # Errors
/// Refuses when nobody can answer.
pub fn secret(question: &str, hint: &str) -> Result<String> {
    if !is_interactive() {
        return Err(Fault::new(format!("`{question}` needs an answer, and there is no terminal"))
            .hint(hint)
            .code(exit::USAGE));
    }
    Password::new().with_prompt(question).allow_empty_password(true).interact().map_err(Fault::at("no answer"))
}
