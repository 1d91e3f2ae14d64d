//! Files made from the command line's own definition; `--check` says whether they have drifted from it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use xr_lab::Layout;

#[derive(Args)]
pub(crate) struct Generate {
    /// Write nothing; fail when a file differs from what would be written
    #[arg(long)]
    check: bool,
}

impl Generate {
    /// Only to say whether they have drifted.
    pub(crate) fn checked() -> Self {
        Self { check: true }
    }
}

/// `cargo xtask completions`: the scripts by which a shell asks xr itself, so that versions complete as they are.
pub(crate) fn completions(options: &Generate) -> Result<()> {
    let files = [("xr.bash", xr::Shell::Bash), ("_xr", xr::Shell::Zsh), ("xr.fish", xr::Shell::Fish)];
    let mut wanted = BTreeMap::new();
    for (name, shell) in files {
        let script = xr::registration(shell).map_err(|fault| anyhow::anyhow!(fault.chain()))?;
        wanted.insert(name.to_owned(), format!("{}\n", script.trim_end()).into_bytes());
    }
    settle("completions", &wanted, options.check)
}

/// `cargo xtask man`: a manual page for every command.
pub(crate) fn man(options: &Generate) -> Result<()> {
    let mut wanted = BTreeMap::new();
    let mut command = xr::command().disable_help_subcommand(true);
    command.build();
    pages(&command, "xr", &mut wanted)?;
    settle("man", &wanted, options.check)
}

fn pages(command: &clap::Command, name: &str, wanted: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let title: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let page = clap_mangen::Man::new(command.clone().display_name(title)).manual("xr").source("xr").title(title);
    let mut text = Vec::new();
    page.render(&mut text).with_context(|| format!("cannot write the page of {name}"))?;
    wanted.insert(format!("{name}.1"), text);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(sub, &format!("{name}-{}", sub.get_name()), wanted)?;
    }
    Ok(())
}

/// Makes the folder hold exactly these files, or says that it does not.
fn settle(what: &str, wanted: &BTreeMap<String, Vec<u8>>, check: bool) -> Result<()> {
    let folder = match what {
        "man" => Layout::workspace().join("docs/man"),
        _ => Layout::workspace().join(what),
    };
    let present = read(&folder)?;
    let differs = |name: &&String| present.get(*name) != wanted.get(*name);
    let stale: Vec<&String> =
        present.keys().chain(wanted.keys().filter(|name| !present.contains_key(*name))).filter(differs).collect();
    if check {
        if !stale.is_empty() {
            let names: Vec<String> = stale.iter().map(|name| folder.join(name).display().to_string()).collect();
            bail!("out of date: {}\nhint: cargo xtask {what}", names.join(", "));
        }
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    for name in stale {
        let path = folder.join(name);
        match wanted.get(name) {
            Some(bytes) => fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?,
            None => fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?,
        }
        println!("{}", path.display());
    }
    Ok(())
}

fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(BTreeMap::new()) };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(files)
}
