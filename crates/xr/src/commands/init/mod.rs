//! `xr init`: an `xr.toml` for any compose project, from what its files tell.

mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use xr_env_writer::EnvFile;
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result, exit};
use xr_stack::{
    Layout, Manifest,
    scan::{services, version_key},
};

use crate::{
    context,
    globals::Globals,
    print::{err, out, print_json},
};

/// `xr init`
#[derive(Debug, Args)]
pub struct Init {
    /// Print it and write nothing
    #[arg(long)]
    pub print: bool,
    /// Write over an xr.toml that is there
    #[arg(long)]
    force: bool,
}

/// `xr init`
pub fn run(globals: &Globals, args: &Init) -> Result<u8> {
    let root = root(globals)?;
    let path = root.join("xr.toml");
    let (text, missing) = describe(&root)?;
    if args.print {
        if globals.json {
            print_json(&json!({"format": 1, "path": path, "text": text, "missing": missing}));
        } else {
            out(text.trim_end());
            missing.iter().for_each(|what| err(&format!("missing: {what}")));
        }
        return Ok(exit::OK);
    }
    if path.exists() && !args.force {
        return Err(Fault::new(format!("{} is there already", path.display()))
            .hint("xr init --print shows a new one; --force writes over it"));
    }
    write_atomic(&path, text.as_bytes(), 0o644, Ownership::Keep)?;
    if globals.json {
        print_json(&json!({"format": 1, "path": path, "missing": missing}));
    } else {
        out(&format!("wrote {}", path.display()));
        if root.join(".git").exists() {
            out("commit it: a release is read from its own commit, this file too");
        }
        missing.iter().for_each(|what| out(&format!("missing: {what}")));
    }
    Ok(exit::OK)
}

/// The folder to describe: the stack one stands in, else the current folder itself, which xr may not know as one yet.
fn root(globals: &Globals) -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(Fault::at("there is no current folder"))?;
    match context::root(globals) {
        Ok(root) => Ok(root),
        Err(fault) if globals.stack.is_some() => Err(fault),
        Err(_) => Ok(here),
    }
}

/// The text for the project at `root`, and what it still lacks, a sentence each.
fn describe(root: &Path) -> Result<(String, Vec<String>)> {
    // What an xr.toml says that is there is not taken over: the files themselves are asked.
    let layout = Layout::find(root, &Manifest::default()).map_err(|fault| {
        fault.hint("run xr init in the folder of the compose file, or name it: xr --stack DIR init")
    })?;
    let mut compose = String::new();
    for file in &layout.files {
        let path = root.join(file);
        compose += &std::fs::read_to_string(&path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
        compose.push('\n');
    }
    let template = match layout.template_path() {
        Some(path) => {
            let bytes = std::fs::read(&path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
            EnvFile::parse(&bytes).map_err(|error| {
                Fault::new(format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.kind))
            })?
        }
        None => EnvFile::default(),
    };
    let services = services(&compose);
    let version_key = version_key(&compose).or_else(|| version_key(&layout.further_texts(root)));
    let name = root.file_name().map_or_else(|| "stack".to_owned(), |name| name.to_string_lossy().into_owned());
    let preset =
        if root.join("xr.toml").exists() { None } else { xr_stack::load(root).ok().and_then(|stack| stack.preset) };
    let missing = missing(&layout, version_key.as_deref(), &template);
    let found = text::Findings {
        name,
        version_file: layout.version.clone(),
        version_key,
        // The admin's own override is not the publisher's business.
        files: layout.files.iter().filter(|file| !file.contains(".override.")).cloned().collect(),
        dev_files: layout.dev_files.clone(),
        env: layout.env.clone(),
        template: layout.template.clone(),
        preset,
        database: scan::database(&template),
        secrets: scan::secrets(&template),
        services,
    };
    Ok((text::render(&found), missing))
}

fn missing(layout: &Layout, version_key: Option<&str>, template: &EnvFile) -> Vec<String> {
    let mut missing = Vec::new();
    if !layout.version_path().exists() {
        missing.push(format!("{}: one line such as v1.0.0, the version that is released", layout.version));
    }
    match (version_key, &layout.template) {
        (None, _) => missing.push("a version in the images' tags: image: name:${IMAGE_TAG:?}".to_owned()),
        (Some(_), None) => missing
            .push(format!("a template for {}: .env.example with every key that the compose file reads", layout.env)),
        (Some(key), Some(path)) if !template.contains(key) => missing.push(format!("{key}= in {path}")),
        _ => {}
    }
    if !layout.root.join(".git").exists() {
        missing.push("a git repository: without one an update is a bundle unpacked over this folder".to_owned());
    }
    missing
}
