//! `xr completions`: the script that has a shell ask xr itself, so that versions and generations are completed as they are.

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;
use xr_model::{Fault, Result, exit};

use crate::print::out;

/// `xr completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that can be taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
    /// Elvish
    Elvish,
    /// PowerShell
    Powershell,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// `xr completions`
pub fn run(args: &Completions) -> Result<u8> {
    out(registration(args.shell)?.trim_end());
    Ok(exit::OK)
}

/// The script for a shell.
///
/// # Errors
/// When the completion library has none for it.
pub fn registration(shell: Shell) -> Result<String> {
    let shells = Shells::builtins();
    let completer =
        shells.completer(shell.name()).ok_or_else(|| Fault::new(format!("no completions for {}", shell.name())))?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", "xr", "xr", "xr", &mut script)
        .map_err(Fault::at("cannot write the script"))?;
    String::from_utf8(script).map_err(Fault::at("cannot write the script"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_calls_xr() {
        for shell in Shell::value_variants() {
            let script = registration(*shell).unwrap();
            assert!(script.contains("COMPLETE") && script.contains("xr"), "{script}");
        }
    }
}
