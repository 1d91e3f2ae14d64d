//! Putting presets and the publisher's manifest together.

use std::{fs, io, path::Path};

use toml::{Table, Value};
use xr_model::{Fault, Result};

use crate::{
    layout::{Layout, leads_out},
    manifest::{Manifest, Trust},
    scan,
};

/// Presets by name: knowledge about products is data, never code. The first that fits is taken.
const PRESETS: [(&str, &str); 1] = [("worker-stack", include_str!("../../../presets/worker-stack.toml"))];
const DEFAULT: &str = include_str!("../../../presets/default.toml");

/// A stack as its publisher describes it.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The product's name.
    pub name: String,
    /// Where its files stand.
    pub layout: Layout,
    /// What its publisher says, presets included.
    pub manifest: Manifest,
    /// The preset that carries it.
    pub preset: Option<String>,
    /// Whether it has an `xr.toml`.
    pub has_manifest: bool,
}

/// Reads the stack at `root`.
///
/// # Errors
/// An `xr.toml` with an unknown key or a wrong type (points at the spot), or no compose file.
pub fn load(root: &Path) -> Result<Stack> {
    let path = root.join("xr.toml");
    if path.is_symlink() && leads_out(root, "xr.toml") {
        // A fault would show a line of whatever it leads to.
        return Err(Fault::new(format!("{} is a symbolic link that leads out of the stack", path.display()))
            .hint(format!("ls -l {}; the manifest is a file of the publisher's", xr_model::shell(&path))));
    }
    let own = match read_small(&path) {
        Ok(bytes) => {
            let text = text_of(&path, bytes)?;
            // Read once on its own for errors with line and column.
            let wrong = |error: toml::de::Error| point_at(&path, &text, &error).hint(HINT);
            toml::from_str::<Manifest>(&text).map_err(wrong)?;
            Some(toml::from_str::<Table>(&text).map_err(wrong)?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Fault::new(format!("cannot read {}", path.display()))
                .because(error)
                .hint(format!("ls -l {}", xr_model::shell(&path))));
        }
    };
    let own_table = own.clone().unwrap_or_default();
    let alone: Manifest = parse(own_table.clone())?;
    let layout = Layout::find(root, &alone)?;
    let read = |files: &[String]| -> Result<String> {
        let one = |file: &String| {
            let path = root.join(file);
            let text = fs::read_to_string(&path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
            Ok(text + "\n")
        };
        files.iter().map(one).collect()
    };
    let production = read(&layout.files)?;
    let text = production.clone() + &read(&layout.dev_files)?;
    let chosen = match &alone.preset {
        Some(name) if name == "default" => None,
        Some(name) => Some(*PRESETS.iter().find(|(known, _)| known == name).ok_or_else(|| {
            let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
            Fault::new(format!("{}: there is no preset `{name}`", path.display()))
                .hint(format!("presets: default, {}", known.join(", ")))
        })?),
        None => PRESETS.iter().find(|(_, preset)| fits(preset, &text)).copied(),
    };
    let mut merged: Table = table(DEFAULT)?;
    if let Some((_, preset)) = chosen {
        merge(&mut merged, table(preset)?);
    }
    merge(&mut merged, own_table);
    let key_is_named = merged.get("version").is_some_and(|version| version.get("key").is_some());
    let mut manifest = parse(merged)?;
    if !key_is_named {
        let key = scan::version_key(&production).or_else(|| scan::version_key(&layout.further_texts(root)));
        manifest.version.key = key.unwrap_or(manifest.version.key);
    }
    inherit_restores(&mut manifest)?;
    let fallback = root.file_name().map_or_else(|| "stack".to_owned(), |name| name.to_string_lossy().into_owned());
    Ok(Stack {
        name: manifest.name.clone().unwrap_or(fallback),
        layout: Layout::find(root, &manifest)?,
        manifest,
        preset: chosen.map(|(name, _)| name.to_owned()),
        has_manifest: own.is_some(),
    })
}

/// What the text of an `xr.toml` says about trust; `path` is named in faults.
///
/// # Errors
/// As [`load`].
pub fn trust_of(path: &Path, bytes: Vec<u8>) -> Result<Trust> {
    let text = text_of(path, bytes)?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| point_at(path, &text, &error).hint(HINT))?;
    Ok(manifest.trust)
}

/// A backup of the publisher's own that does not say how it is put back is put back as the default one of its image.
fn inherit_restores(manifest: &mut Manifest) -> Result<()> {
    let default = parse(table(DEFAULT)?)?;
    for backup in manifest.backups.iter_mut().filter(|backup| backup.restore.is_none()) {
        let same = default.backups.iter().find(|other| other.image == backup.image);
        backup.restore = same.and_then(|other| other.restore.clone());
    }
    Ok(())
}

fn fits(preset: &str, compose: &str) -> bool {
    toml::from_str::<Manifest>(preset)
        .ok()
        .and_then(|preset| preset.fits)
        .is_some_and(|fits| fits.compose_contains.iter().all(|part| compose.contains(part.as_str())))
}

fn table(text: &str) -> Result<Table> {
    toml::from_str(text).map_err(Fault::at("a built-in preset is broken"))
}

fn parse(table: Table) -> Result<Manifest> {
    Value::Table(table).try_into().map_err(Fault::at("the manifest and its preset do not fit together"))
}

/// Tables are merged key by key; everything else is replaced.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// The largest settings file that is read: what is larger is no settings file.
const LARGEST: u64 = 8 << 20;
const HINT: &str = "docs/xr-toml.md lists every key; `xr init --print` shows a complete file";

/// Reads a settings file; never waits on a pipe, never fills the memory.
///
/// # Errors
/// When it cannot be read, is no regular file or is far too large.
pub fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.len() > LARGEST {
        return Err(io::Error::other(format!("{} MiB is too large for a settings file", meta.len() >> 20)));
    }
    fs::read(path)
}

/// The text in `bytes`, or a fault that names the line that is none.
pub(crate) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Fault::new(format!("{}:{line}:{column}: not UTF-8", path.display()))
            .hint(format!("sed -n {line}p {} | cat -A", xr_model::shell(&path)))
    })
}

/// A fault that names file, line and column and shows the spot.
pub(crate) fn point_at(path: &Path, text: &str, error: &toml::de::Error) -> Fault {
    const SHOWN: usize = 100;
    let (line, column) = error.span().map_or((1, 1), |span| {
        let before = &text[..span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
    });
    let from = column.saturating_sub(SHOWN);
    let shown: String = text.lines().nth(line - 1).unwrap_or_default().chars().skip(from).take(SHOWN).collect();
    let message = error
        .message()
        .trim()
        .replace("expected usize", "expected a whole number")
        .replace("expected u64", "expected a whole number");
    Fault::new(format!(
        "{}:{line}:{column}: {message}\n    {shown}\n    {}^",
        path.display(),
        " ".repeat(column - 1 - from)
    ))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the files that are read")]
mod tests {
    use super::*;

    #[test]
    fn built_in_presets_are_valid() {
        for (name, text) in PRESETS.iter().chain([&("default", DEFAULT)]) {
            toml::from_str::<Manifest>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn the_version_key_is_what_the_images_read_unless_the_manifest_names_it() {
        for (image, manifest, key) in [
            ("acme/web:${APP_VERSION:-v1}", "", "APP_VERSION"),
            ("acme/web:${APP_VERSION:-v1}", "[version]\nkey = \"RELEASE\"\n", "RELEASE"),
            ("acme/web:${APP_VERSION:-v1}", "[version]\nfile = \"version.txt\"\n", "APP_VERSION"),
            ("acme/web:v1", "", "IMAGE_TAG"),
            ("acme/web:v1\ninclude: [apps/web.yml]", "", "WEB_RELEASE"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let compose = format!("services:\n  web:\n    image: {image}\n");
            fs::write(dir.path().join("compose.yaml"), compose).unwrap();
            fs::create_dir(dir.path().join("apps")).unwrap();
            fs::write(dir.path().join("apps/web.yml"), "services: {a: {image: \"acme/a:$WEB_RELEASE\"}}\n").unwrap();
            if !manifest.is_empty() {
                fs::write(dir.path().join("xr.toml"), manifest).unwrap();
            }
            assert_eq!(load(dir.path()).unwrap().manifest.version.key, key, "{image} {manifest}");
        }
    }

    #[test]
    fn a_manifest_that_is_a_link_to_a_file_of_the_hosts_shows_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let stack = dir.path().join("stack");
        fs::create_dir(&stack).unwrap();
        fs::write(dir.path().join("shadow"), "root:$y$hash:1::").unwrap();
        std::os::unix::fs::symlink("../shadow", stack.join("xr.toml")).unwrap();
        let fault = load(&stack).unwrap_err();
        assert!(fault.message.ends_with("xr.toml is a symbolic link that leads out of the stack"), "{}", fault.chain());
    }

    #[test]
    fn a_backup_of_postgres_can_be_put_back_however_the_publisher_takes_it() {
        let own = "[[backups]]\nname = \"a.sql\"\nimage = \"IMAGE\"\ncommand = [\"dump\"]\n";
        for (manifest, parts) in
            [("", true), (&own.replace("IMAGE", "postgres"), true), (&own.replace("IMAGE", "mysql"), false)]
        {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("compose.yaml"), "services: {}\n").unwrap();
            fs::write(dir.path().join("xr.toml"), manifest).unwrap();
            let backups = load(dir.path()).unwrap().manifest.backups;
            let argv = backups[0].restore(crate::RestorePart::Load);
            assert_eq!(argv.is_some_and(|argv| argv.last().is_some_and(|last| last == "load")), parts, "{manifest}");
        }
    }

    #[test]
    fn mistakes_in_the_manifest_are_pointed_at() {
        for (text, line, part) in [
            ("name = \"x\"\n[version]\nkee = \"A\"\n", 3, "unknown field `kee`"),
            ("[keep]\ngenerations = \"five\"\n", 2, "invalid type"),
            ("[health]\nsettle = \"soon\"\n", 2, "is not a duration"),
            ("name = \n", 1, ""),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("xr.toml");
            let error = toml::from_str::<Manifest>(text).unwrap_err();
            let fault = point_at(&path, text, &error);
            assert!(
                fault.message.contains(&format!("xr.toml:{line}:")) && fault.message.contains(part),
                "{}",
                fault.message
            );
        }
    }
}
