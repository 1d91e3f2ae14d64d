//! `xr env`: the settings in `.env`, read as compose reads them and written without touching anything else.

mod check;

use std::{io::Read, path::PathBuf};

use clap::{Args, Subcommand};
use clap_complete::{CompletionCandidate, engine::ArgValueCandidates};
use serde_json::json;
use xr_env_writer::{EnvFile, must_be_masked, names_secret};
use xr_journal::{Home, Ownership, unfinished, write_atomic};
use xr_model::{Fault, Result, exit};
use xr_stack::Stack;

use crate::{
    context::{self, Context},
    globals::Globals,
    print::{err, out, out_value, print_json},
    prompt, run,
};

/// `xr env`
#[derive(Debug, Args)]
pub struct Env {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one value as compose reads it
    Get {
        /// The key
        #[arg(add = ArgValueCandidates::new(keys))]
        key: String,
    },
    /// Set values; comments, order and everything else in the file stay
    Set {
        /// KEY VALUE, or KEY=VALUE (repeatable); KEY alone with --stdin
        #[arg(required = true, value_name = "KEY=VALUE", add = ArgValueCandidates::new(keys))]
        pairs: Vec<String>,
        /// Read the value from standard input: for secrets, since arguments can be read by every user
        #[arg(long)]
        stdin: bool,
    },
    /// List all values, secrets masked
    List {
        /// Show secrets too
        #[arg(long)]
        show_secrets: bool,
    },
    /// Examine the file: what compose refuses, what is set twice, what means something else than it seems
    Check,
}

impl Env {
    /// Whether it only reads.
    pub fn is_query(&self) -> bool {
        !matches!(self.command, Command::Set { .. })
    }
}

/// `xr env`
pub async fn run(globals: &Globals, args: &Env) -> Result<u8> {
    let root = context::root(globals)?;
    let stack = xr_stack::load(&root)?;
    let path = stack.layout.env_path();
    match &args.command {
        Command::Get { key } => get(globals, &path, key),
        Command::Set { pairs, stdin } => {
            set(&Context::new(globals.clone(), "env set"), &Home::of(&root), &stack, pairs, *stdin).await
        }
        Command::List { show_secrets } => list(globals, &stack, *show_secrets),
        Command::Check => check::run(globals, &stack),
    }
}

/// The file's bytes.
fn read(path: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::new(format!("{} is missing", path.display()))
            .hint("xr install makes it from its template; a lost one is kept in .xr/generations/*/files"),
        _ => Fault::new(format!("cannot read {}", path.display()))
            .because(error)
            .hint(format!("ls -l {}", xr_model::shell(&path))),
    })
}

fn parse(path: &PathBuf) -> Result<EnvFile> {
    EnvFile::parse(&read(path)?).map_err(|error| {
        Fault::new(format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.kind)).hint("xr env check")
    })
}

fn get(globals: &Globals, path: &PathBuf, key: &str) -> Result<u8> {
    let file = parse(path)?;
    let value = file
        .get(key)
        .ok_or_else(|| Fault::new(format!("{key} is not set in {}", path.display())).hint("xr env list"))?;
    if globals.json {
        print_json(&json!({"format": 1, "key": key, "value": value.text, "line": value.line}));
    } else {
        out_value(&value.text);
    }
    Ok(exit::OK)
}

fn list(globals: &Globals, stack: &Stack, show_secrets: bool) -> Result<u8> {
    let path = &stack.layout.env_path();
    let file = parse(path)?;
    let ruled = |key: &str| stack.manifest.secrets.iter().any(|rule| rule.key == key);
    let values = file.keys().into_iter().map(|key| {
        let value = file.get(key);
        let text = value.as_ref().map(|v| v.text.clone()).unwrap_or_default();
        let masked = !show_secrets && (must_be_masked(key, &text) || (ruled(key) && !text.is_empty()));
        (key, if masked { "********".to_owned() } else { text }, masked, value.map(|v| v.line))
    });
    if globals.json {
        let values: Vec<_> = values
            .map(|(key, text, masked, line)| json!({"key": key, "value": (!masked).then_some(text), "masked": masked, "line": line}))
            .collect();
        print_json(&json!({"format": 1, "path": path, "values": values}));
    } else {
        values.for_each(|(key, text, ..)| out(&format!("{key}={text}")));
    }
    Ok(exit::OK)
}

async fn set(context: &Context, home: &Home, stack: &Stack, pairs: &[String], stdin: bool) -> Result<u8> {
    let path = stack.layout.env_path();
    let wanted = if stdin { vec![(only_key(pairs)?, from_stdin()?)] } else { wanted(pairs)? };
    let _lock = run::lock(context, home, "env set").await?;
    if let Some(run) = unfinished(home)? {
        return Err(Fault::new(format!(
            "the {} begun at {} did not end and may put .env back",
            run.plan.kind.as_str(),
            run.at
        ))
        .hint("xr recover ends it; then again"));
    }
    let mut file = parse(&path)?;
    let before = file.to_bytes();
    for (key, value) in &wanted {
        file.set(key, value).map_err(|error| Fault::new(error.to_string()).code(exit::USAGE).hint("xr env list"))?;
        if *key == stack.manifest.version.key {
            err(&format!(
                "warning: {key} is xr's own: the next xr command writes the installed version into it; xr update --to changes that"
            ));
        }
        if !stdin && must_be_masked(key, value) && prompted(pairs).is_none() {
            err(&format!(
                "warning: {key} is a secret, and arguments can be read by every user: xr env set {key} --stdin"
            ));
        }
    }
    if file.to_bytes() == before {
        out("nothing changed");
        return Ok(exit::OK);
    }
    write_atomic(&path, &file.to_bytes(), 0o600, Ownership::Keep)?;
    let keys: Vec<&str> = wanted.iter().map(|(key, _)| key.as_str()).collect();
    out(&format!("set {} in {}; xr restart applies it", keys.join(", "), path.display()));
    Ok(exit::OK)
}

/// The secret key that stands alone and is asked for.
fn prompted(pairs: &[String]) -> Option<&String> {
    pairs.first().filter(|key| pairs.len() == 1 && !key.contains('='))
}

fn only_key(pairs: &[String]) -> Result<String> {
    prompted(pairs).cloned().ok_or_else(|| usage("--stdin takes one key and no value"))
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(Fault::at("cannot read standard input"))?;
    Ok(text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text).to_owned())
}

/// Keys and values from the command line; a secret key alone is asked for.
fn wanted(pairs: &[String]) -> Result<Vec<(String, String)>> {
    if let Some(key) = prompted(pairs) {
        if !names_secret(key) {
            return Err(usage(&format!("{key} has no value")));
        }
        return Ok(vec![(
            key.clone(),
            prompt::secret(&format!("Value of {key}"), &format!("xr env set {key} --stdin"))?,
        )]);
    }
    split(pairs)
}

fn split(pairs: &[String]) -> Result<Vec<(String, String)>> {
    if let [key, value] = pairs
        && !key.contains('=')
    {
        return Ok(vec![(key.clone(), value.clone())]);
    }
    let pair = |pair: &String| {
        let (key, value) = pair.split_once('=').ok_or_else(|| usage(&format!("`{pair}` is not KEY=VALUE")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    pairs.iter().map(pair).collect()
}

fn usage(message: &str) -> Fault {
    Fault::new(message)
        .code(exit::USAGE)
        .hint("xr env set KEY VALUE   or   xr env set KEY=VALUE …   or   xr env set KEY --stdin < FILE")
}

/// Keys of the stack one stands in, for the shell.
fn keys() -> Vec<CompletionCandidate> {
    let file = || {
        let stack = xr_stack::load(&super::complete::root()?).ok()?;
        EnvFile::parse(&std::fs::read(stack.layout.env_path()).ok()?).ok()
    };
    let file = file().unwrap_or_default();
    file.keys().into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_in_two_spellings() {
        let of = |args: &[&str]| split(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(of(&["A", "b=c"]).unwrap(), [pair("A", "b=c")]);
        assert_eq!(of(&["A=1", "B=x=y", "C="]).unwrap(), [pair("A", "1"), pair("B", "x=y"), pair("C", "")]);
        assert_eq!(of(&["A=1", "B"]).unwrap_err().code, exit::USAGE);
        assert_eq!(of(&["A", "B", "C"]).unwrap_err().code, exit::USAGE);
    }
}
