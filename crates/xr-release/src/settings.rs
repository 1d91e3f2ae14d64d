//! The `.env` of the next generation: the admin's values over the template, secrets made, the version pinned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xr_env_writer::{EnvFile, MergeRules, SecretRule, empty_secrets, merge};
use xr_model::{Fault, Generation, Mode, Result, Version};
use xr_stack::{Layout, Manifest};

/// What the merge did, in keys; never a value.
#[derive(Clone, Debug, Default)]
pub struct EnvReport {
    /// Keys that the new template brought.
    pub added: Vec<String>,
    /// Secrets that were made.
    pub generated: Vec<String>,
    /// Keys that the template no longer has.
    pub obsolete: Vec<String>,
    /// Secrets that are still the template's placeholder.
    pub placeholders: Vec<String>,
    /// Secrets that are empty and that nothing says to make; those that others issue are left out.
    pub empty: Vec<String>,
    /// The tag that is the admin's own choice, one that floats or that is no version of the product's, and is left alone.
    pub floating: Option<String>,
    /// Keys that nothing of the release reads.
    pub unread: Vec<String>,
    /// Variables of the compose files that only the shell xr was started from sets.
    pub of_the_shell: Vec<String>,
    /// Keys whose template default changed while the admin had the old default.
    pub defaults_changed: Vec<String>,
}

/// What goes into the next `.env`.
pub(crate) struct Inputs<'a> {
    /// The admin's file; none on a first install.
    pub current: Option<&'a EnvFile>,
    pub old_template: Option<&'a EnvFile>,
    pub new_template: Option<&'a EnvFile>,
    pub manifest: &'a Manifest,
    pub version: &'a Version,
    /// The version as the images' tags spell it.
    pub tag: &'a Version,
    pub mode: Mode,
    /// The mode that the current file was written for.
    pub old_mode: Mode,
    /// The generation that serves.
    pub serves: Option<&'a Generation>,
    /// Whether the tag that stands in the file is kept, whatever the version is.
    pub keep_tag: bool,
    /// Whether secrets that are still a placeholder are made: only when no volume can hold the old one.
    pub replace_placeholders: bool,
    /// What the compose files say, one after the other.
    pub compose: &'a str,
    /// The file, from the stack's root.
    pub env_name: &'a str,
    /// Whether keys of the template that the current file lacks are added although the old template had them.
    pub add_missing: bool,
    /// Settings asked for on the command line.
    pub set: &'a BTreeMap<String, String>,
}

/// What in a compose file tells that other files are read than it names, or that a service has the settings' folder mounted.
const READ_BESIDES: [&str; 6] = ["include:", "extends:", " ./:", "\"./:", "'./:", " .:"];

/// Whether a service gets the settings as a whole: compose files name the file, or an `env_file` by a variable.
fn given_whole(compose: &str, env_name: &str) -> bool {
    let name = env_name.rsplit('/').next().unwrap_or(env_name);
    let mut words = compose.split(|c: char| c.is_whitespace() || "\"'[]{},:/=".contains(c));
    let goes_on =
        |line: &&str| ["-", "path:", "required:", "format:"].iter().any(|part| line.trim_start().starts_with(part));
    let by_variable = |rest: &str| {
        let mut lines = rest.lines();
        let first = lines.next().unwrap_or_default();
        std::iter::once(first).chain(lines.take_while(goes_on)).any(|line| line.contains('$'))
    };
    words.any(|word| word == name || word == ".env") || compose.split("env_file:").skip(1).any(by_variable)
}

/// Keys of an `.env` that no template, no compose file and no `xr.toml` names: an older release's, or mistyped ones. None where
/// a service gets the whole file or other files are read besides: any key may be read there.
pub fn unread(
    env: &EnvFile,
    env_name: &str,
    template: Option<&EnvFile>,
    manifest: &Manifest,
    compose: &str,
) -> Vec<String> {
    let besides = env.contains("COMPOSE_FILE") || READ_BESIDES.iter().any(|part| compose.contains(part));
    if compose.is_empty() || besides || given_whole(compose, env_name) {
        return Vec::new();
    }
    let said = serde_json::to_string(manifest).unwrap_or_default();
    let known = |key: &&str| {
        let named = template.is_some_and(|template| template.contains(key)) || compose.contains(*key);
        named || said.contains(*key) || ["COMPOSE_", "DOCKER_"].iter().any(|of_tools| key.starts_with(of_tools))
    };
    env.keys().into_iter().filter(|key| !known(key)).map(str::to_owned).collect()
}

/// The variables that compose files read, and those that compose writes into containers, which only the shell sets that xr was
/// started from; `resolved` is what compose makes of the files.
pub(crate) fn of_the_shell(compose: &str, resolved: &Value, env: &EnvFile) -> Vec<String> {
    let written = ["configs", "secrets"].into_iter().flat_map(|kind| resolved[kind].as_object().into_iter().flatten());
    let mut names = variables(compose);
    names.extend(written.filter_map(|(_, defined)| defined["environment"].as_str()));
    // Compose is not given these.
    let withheld = |name: &str| name.starts_with("COMPOSE_") || name == "DOCKER_DEFAULT_PLATFORM";
    let elsewhere = |name: &&str| !withheld(name) && !env.contains(name) && std::env::var_os(name).is_some();
    names.into_iter().filter(elsewhere).map(str::to_owned).collect()
}

/// The variables that compose files read, each once; `$$` is a dollar.
fn variables(compose: &str) -> BTreeSet<&str> {
    let lines = compose.lines().filter(|line| !line.trim_start().starts_with('#'));
    let lines = lines.map(|line| line.split(" #").next().unwrap_or_default());
    let parts = lines.flat_map(|line| line.split("$$").flat_map(|part| part.split('$').skip(1)));
    let names = parts.map(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        &part[..part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len())]
    });
    names.filter(|name| name.starts_with(|c: char| !c.is_ascii_digit())).collect()
}

/// The next `.env`.
pub(crate) fn next(inputs: &Inputs<'_>) -> Result<(EnvFile, EnvReport)> {
    let empty = EnvFile::parse(b"").map_err(Fault::at("cannot make an empty .env"))?;
    let rules = MergeRules {
        secrets: inputs.manifest.secrets.iter().map(|s| SecretRule::hex(s.key.clone(), s.length)).collect(),
        not_secrets: Vec::new(),
        replace_placeholders: inputs.current.is_none() || inputs.replace_placeholders,
        add_missing: inputs.add_missing,
    };
    let new_template = inputs.new_template.unwrap_or(&empty);
    let current = inputs.current.unwrap_or(&empty);
    let merged = merge(current, inputs.old_template, new_template, &rules, &mut |rule: &SecretRule| rule.generate())
        .map_err(Fault::at("cannot merge .env with its template"))?;
    let mut file = merged.file;
    let mut put = |key: &str, value: &str| -> Result<()> {
        if file.get(key).is_none_or(|now| now.text != value) {
            file.set(key, value).map_err(Fault::at(format!("cannot set {key} in .env")))?;
        }
        Ok(())
    };
    for (key, value) in inputs.set {
        put(key, value)?;
    }
    if inputs.mode == Mode::Dev {
        for (key, value) in &inputs.manifest.dev.env {
            put(key, value)?;
        }
        for image in &inputs.manifest.dev.images {
            if let Some(key) = &image.key {
                put(key, &dev_tag(&image.tag, inputs.version))?;
            }
        }
    } else if inputs.old_mode == Mode::Dev {
        let default = |key: &str| new_template.get(key).map(|v| v.text).unwrap_or_default();
        let keys =
            inputs.manifest.dev.env.keys().chain(inputs.manifest.dev.images.iter().filter_map(|i| i.key.as_ref()));
        for key in keys.filter(|key| current.contains(key)) {
            put(key, &default(key))?;
        }
    }
    let key = &inputs.manifest.version.key;
    let chosen = floating(inputs, key);
    // A key that nobody reads would only change the settings of whoever has the whole file as its own.
    if chosen.is_none()
        && (inputs.compose.contains(key.as_str()) || current.contains(key) || new_template.contains(key))
    {
        put(key, inputs.tag.as_str())?;
    }
    let ruled = |key: &str| rules.secrets.iter().any(|rule| rule.key == key);
    let empty = empty_secrets(&file).into_iter().filter(|one| !one.issued && !ruled(&one.key)).map(|one| one.key);
    let unanswered = |key: &String| !inputs.set.contains_key(key);
    let changed = merged.template_changed.into_iter().map(|change| change.key);
    let unread = unread(&file, inputs.env_name, inputs.new_template, inputs.manifest, inputs.compose);
    let report = EnvReport {
        unread,
        of_the_shell: Vec::new(),
        added: merged.added,
        generated: merged.generated,
        obsolete: merged.obsolete,
        placeholders: merged.placeholders.into_iter().filter(unanswered).collect(),
        empty: empty.collect(),
        floating: chosen,
        defaults_changed: changed.filter(|changed| changed != key).collect(),
    };
    Ok((file, report))
}

/// The tag that is the admin's own choice (`stable`, `latest`): set in the file, no version, and not what the template had
/// before xr pinned it. Or one that is no version of the product's, since its images serve now and its version is another.
fn floating(inputs: &Inputs<'_>, key: &str) -> Option<String> {
    let text = |file: Option<&EnvFile>| file.and_then(|file| file.get(key)).map(|value| value.text);
    let set = text(inputs.current).filter(|tag| !tag.is_empty())?;
    let version: Option<Version> = set.parse().ok();
    let other = |serves: &Generation| version.as_ref() != Some(&serves.version) && serves.has_tag(&set);
    if inputs.mode == Mode::Production && inputs.serves.is_some_and(other) {
        return Some(set);
    }
    let default = [inputs.old_template, inputs.new_template].into_iter().any(|file| text(file).as_ref() == Some(&set));
    let chosen = Some(set).filter(|_| inputs.keep_tag || version.is_none())?;
    let placeholder = xr_env_writer::is_placeholder(&chosen);
    (inputs.mode == Mode::Production && inputs.old_mode == Mode::Production && !default && !placeholder)
        .then_some(chosen)
}

/// The tag of a dev image.
pub fn dev_tag(tag: &str, version: &Version) -> String {
    tag.replace("{version}", version.as_str())
}

/// The profiles that follow from the settings, and those the admin switched on in `COMPOSE_PROFILES`.
pub fn profiles(manifest: &Manifest, env: &EnvFile, compose_text: &str) -> Vec<String> {
    let value = |key: &str| env.get(key).map(|v| v.text).unwrap_or_default();
    let mut profiles: Vec<String> = manifest
        .profiles
        .iter()
        .filter(|profile| compose_text.contains(&profile.name) && profile.values.contains(&value(&profile.key)))
        .map(|profile| profile.name.clone())
        .collect();
    profiles.extend(value("COMPOSE_PROFILES").split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned));
    profiles.sort();
    profiles.dedup();
    profiles
}

/// The compose files of a mode, `COMPOSE_FILE` of the settings first.
pub fn compose_files(layout: &Layout, env: &EnvFile, mode: Mode) -> Vec<String> {
    if mode == Mode::Dev && !layout.dev_files.is_empty() {
        return layout.dev_files.clone();
    }
    let asked = env.get("COMPOSE_FILE").map(|v| v.text).unwrap_or_default();
    let separator =
        env.get("COMPOSE_PATH_SEPARATOR").map(|v| v.text).filter(|s| !s.is_empty()).unwrap_or_else(|| ":".to_owned());
    let named: Vec<String> = asked
        .split(separator.as_str())
        .filter(|file| !file.is_empty())
        .map(|file| {
            let whole = layout.directory.is_empty() || std::path::Path::new(file).is_absolute();
            if whole { file.to_owned() } else { format!("{}/{file}", layout.directory) }
        })
        .collect();
    if named.is_empty() { layout.files.clone() } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_compose_files_are_known_in_every_spelling() {
        let text = "a: $HOME/x:${DATA:-${FALLBACK}} # $OLD\n# $COMMENT\nb: $$NOT ${1} $ {no}\nc: \"$$$YES\"\n";
        assert_eq!(variables(text).into_iter().collect::<Vec<_>>(), ["DATA", "FALLBACK", "HOME", "YES"]);
    }
}
