//! `docker compose`, called the same way everywhere; compose itself has no API.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;
use xr_host::Cmd;
use xr_model::{Fault, Invocation, Result, Service};

use crate::{layout::Layout, manifest::Manifest, services};

/// How compose is called for a stack.
#[derive(Clone, Debug)]
pub struct Compose {
    root: PathBuf,
    directory: PathBuf,
    files: Vec<PathBuf>,
    env: PathBuf,
    profiles: Vec<String>,
}

/// A resolved compose configuration: every variable filled in, every path absolute. It holds secrets.
#[derive(Clone)]
pub struct Resolved {
    /// The project's name.
    pub project: String,
    /// The services, dependencies first.
    pub services: Vec<Service>,
    /// The whole configuration, as `docker compose config --format json` prints it.
    pub json: Value,
}

impl Resolved {
    /// Reads what `docker compose config --format json` printed.
    ///
    /// # Errors
    /// When it is no JSON, or services wait for each other in a circle.
    pub fn parse(text: &str, manifest: &Manifest) -> Result<Self> {
        // Compose prints each `$` twice, for whoever reads it as a compose file again.
        let json: Value = serde_json::from_str(&text.replace("$$", "$"))
            .map_err(Fault::at("cannot read what `docker compose config` printed"))?;
        let services = services::read(&json, manifest)?;
        let project = json["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self { project, services, json })
    }
}

impl Compose {
    /// Compose for these files under `layout.root`, with these profiles.
    pub fn new(layout: &Layout, files: &[String], profiles: &[String]) -> Self {
        Self {
            root: layout.root.clone(),
            directory: layout.directory_path(),
            files: files.iter().map(|file| layout.root.join(file)).collect(),
            env: layout.env_path(),
            profiles: profiles.to_vec(),
        }
    }

    /// Compose as a recorded generation calls it.
    pub fn of(layout: &Layout, invocation: &Invocation) -> Self {
        Self::new(layout, &invocation.files, &invocation.profiles)
    }

    /// `docker compose …` up to the subcommand, which the caller adds.
    pub fn command(&self) -> Cmd {
        self.command_under("")
    }

    /// As [`Compose::command`], with the text of one more compose file over the others; with none when it is empty.
    pub fn command_under(&self, above: &str) -> Cmd {
        let mut cmd = self.begun();
        for file in &self.files {
            cmd = cmd.arg("-f").arg(file);
        }
        if !above.is_empty() {
            cmd = cmd.args(["-f", "-"]).stdin(above);
        }
        if self.env.exists() {
            cmd = cmd.arg("--env-file").arg(&self.env);
        }
        for profile in &self.profiles {
            cmd = cmd.args(["--profile", profile.as_str()]);
        }
        cmd.own_group().env("COMPOSE_IGNORE_ORPHANS", "1").env("COMPOSE_PROGRESS", "plain")
    }

    /// The beginning of every call: the shell that xr was started from has no say in what it resolves to.
    fn begun(&self) -> Cmd {
        let cmd = Cmd::new("docker").args(["compose", "--project-directory"]).arg(&self.directory).cwd(&self.directory);
        let settings = std::env::vars_os().filter_map(|(key, _)| key.into_string().ok());
        let settings = settings.filter(|key| key.starts_with("COMPOSE_") || key == "DOCKER_DEFAULT_PLATFORM");
        settings.chain(self.shadowed()).fold(cmd, |cmd, key| cmd.env_remove(&key))
    }

    /// Keys of `.env` that the shell xr was started from sets too. Compose would let the shell win; the truth is `.env`.
    fn shadowed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.env).unwrap_or_default();
        let keys = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, _)| key.trim().trim_start_matches("export").trim());
        let ours = ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG"]; // what finds docker itself
        keys.filter(|key| {
            !key.is_empty()
                && !ours.contains(key)
                && !key.contains(char::is_whitespace)
                && std::env::var_os(key).is_some()
        })
        .map(str::to_owned)
        .collect()
    }

    /// The resolved configuration. For a staged tree the paths are given as they will be under `real_root`.
    ///
    /// # Errors
    /// When compose refuses the files: its own words, which name file and line.
    pub fn resolve(&self, real_root: &Path, manifest: &Manifest) -> Result<Resolved> {
        let cmd = self.command().args(["config", "--format", "json"]);
        let output = cmd.run()?;
        if output.code != 0 {
            return Err(self.refused(&output.error_text()));
        }
        Resolved::parse(&self.as_under(real_root, &output.stdout), manifest)
    }

    /// A resolved configuration with its paths as they will be under `real_root`.
    fn as_under(&self, real_root: &Path, config: &[u8]) -> String {
        let text = String::from_utf8_lossy(config).into_owned();
        if self.root == real_root {
            return text;
        }
        text.replace(&json_inner(&self.root), &json_inner(real_root))
    }

    /// Compose's own hash of each service, with the text of one more compose file over the others: what its `config-hash`
    /// label should be.
    ///
    /// # Errors
    /// When compose refuses the files.
    pub fn hashes(&self, above: &str) -> Result<Vec<(String, String)>> {
        self.hashes_at(&self.root, above)
    }

    /// As [`Compose::hashes`] without anything over the files, for a staged tree: with the paths that it will have under
    /// `real_root`, which are part of the hash.
    ///
    /// # Errors
    /// As [`Compose::hashes`].
    pub fn hashes_under(&self, real_root: &Path) -> Result<Vec<(String, String)>> {
        self.hashes_at(real_root, "")
    }

    fn hashes_at(&self, real_root: &Path, above: &str) -> Result<Vec<(String, String)>> {
        // `config --hash` leaves `env_file` unresolved while `up` resolves it, and keeps needs that no profile brings: the hash of
        // the resolved configuration counts. Where there is nothing of the kind, one call tells the same.
        let begun = match above.is_empty() && self.root == real_root && self.is_plain() {
            true => self.command_under(above),
            false => self.of_resolved(real_root, above)?,
        };
        let output = begun.args(["config", "--hash", "*"]).run()?;
        if output.code != 0 {
            return Err(self.refused(&output.error_text()));
        }
        Ok(output
            .text()
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(s, h)| (s.to_owned(), h.trim().to_owned()))
            .collect())
    }

    /// Whether what the files say is all that counts, as they stand.
    fn is_plain(&self) -> bool {
        const MORE: [&str; 5] = ["env_file", "include", "extends", "profiles", "required"];
        let plain = |text: String| !MORE.iter().any(|word| text.contains(word));
        self.files.iter().all(|file| std::fs::read_to_string(self.root.join(file)).is_ok_and(plain))
    }

    /// What `docker compose up` would leave as it is and what it would make anew if a staged tree stood under `real_root`: its own
    /// word. Of a service that borrows the namespaces or volumes of another one no hash can be told beforehand, and none of a
    /// network. An image that is not there yet ends it early; what it has said by then counts.
    ///
    /// # Errors
    /// As [`Compose::hashes`].
    pub fn foretell(&self, real_root: &Path) -> Result<Foretold> {
        let dry = ["--dry-run", "up", "--no-start", "--no-build", "--pull", "never"];
        let output = self.of_resolved(real_root, "")?.args(dry).env("COMPOSE_PROGRESS", "plain").run()?;
        Ok(Foretold::read(&output.error_text(), output.code == 0))
    }

    /// `docker compose …` on the resolved configuration, up to the subcommand.
    fn of_resolved(&self, real_root: &Path, above: &str) -> Result<Cmd> {
        let resolved = self.command_under(above).args(["config", "--format", "json"]).run()?;
        if resolved.code != 0 {
            return Err(self.refused(&resolved.error_text()));
        }
        let config = self.as_under(real_root, &resolved.stdout);
        let profiles = self.profiles.iter().flat_map(|profile| ["--profile", profile.as_str()]);
        let whole = without_absent_needs(config.as_bytes()).unwrap_or(config.into_bytes());
        Ok(self.begun().args(profiles).args(["-f", "-"]).stdin(whole).own_group())
    }

    fn refused(&self, said: &str) -> Fault {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("level=warning")).collect();
        // The last is what a client says that takes compose's options for its own.
        let unknown = ["unknown docker command", "is not a docker command", "unknown flag: --project-directory"];
        if said.iter().any(|line| unknown.iter().any(|words| line.contains(words))) {
            let text = "the compose plugin is not installed, or cannot be run (`docker compose` is unknown)";
            return Fault::new(text).hint("xr install; docker compose version");
        }
        let said = said.join(" ");
        let said = said.trim();
        if let Some((line, what)) = said.strip_prefix("yaml: line ").and_then(|rest| rest.split_once(": ")) {
            // Compose tells the line and not the file.
            let same = |file: &&PathBuf| {
                let alone = Cmd::new("docker")
                    .args(["compose", "-f"])
                    .arg(file)
                    .args(["config", "--quiet", "--no-interpolate"])
                    .run();
                self.files.len() == 1 || alone.is_ok_and(|output| output.error_text().contains(said))
            };
            if let Some(file) = self.files.iter().find(same) {
                return Fault::new(format!("{}:{line}: compose refuses it: {what}", file.display()))
                    .hint(format!("{} config", self.command()));
            }
        }
        let fault = Fault::new(format!("compose refuses {}: {said}", files.join(", ")));
        match missing_value(said) {
            Some(key) => fault.hint(format!("xr env set {key}=VALUE (a secret: xr env set {key} --stdin), then again")),
            None => fault.hint(format!("{} config", self.command())),
        }
    }
}

/// A resolved configuration no longer has the services whose profile is off, while what may do without them still names
/// them: compose refuses to read that again. `up` forgets such needs before it hashes a service, and so they are left out.
fn without_absent_needs(config: &[u8]) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(config).ok()?;
    let services = json["services"].as_object_mut()?;
    let present: BTreeSet<String> = services.keys().cloned().collect();
    for service in services.values_mut() {
        let Some(needs) = service.get_mut("depends_on").and_then(Value::as_object_mut) else { continue };
        needs.retain(|name, _| present.contains(name));
        if needs.is_empty() {
            service.as_object_mut()?.remove("depends_on");
        }
    }
    serde_json::to_vec(&json).ok()
}

/// What `docker compose up` would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foretold {
    /// Containers that it would leave as they are, by name, of those that it came to.
    left: BTreeSet<String>,
    /// Containers that it would make, by name.
    made: BTreeSet<String>,
    /// Whether it came to all of them: one that has ended is not told of by every compose.
    whole: bool,
    /// Networks that it would make anew, by name; compose does so since 2.31.
    pub networks: Vec<String>,
}

impl Foretold {
    /// From what a dry run says: ` DRY-RUN MODE -  Container shop-web-1  Running`. A container that is made is `Creating` or
    /// `Recreate` before it is `Created`; one that is taken off a network for a while is `Stopped`, then `Running`.
    fn read(said: &str, whole: bool) -> Self {
        let words = |line: &str, kind: &str| {
            let (_, rest) = line.split_once(kind)?;
            let (name, state) = rest.trim().rsplit_once(' ')?;
            Some((name.trim().to_owned(), state.to_owned()))
        };
        let of = |kind: &str, states: &[&str]| -> BTreeSet<String> {
            let told = said.lines().filter_map(|line| words(line, kind));
            told.filter(|(_, state)| states.contains(&state.as_str())).map(|(name, _)| name).collect()
        };
        Self {
            left: of("Container ", &["Running", "Created"]),
            made: of("Container ", &["Creating", "Recreate"]),
            whole,
            networks: of("Network ", &["Removed"]).into_iter().collect(),
        }
    }

    /// Whether it would leave the container of this name as it is.
    pub fn keeps(&self, name: &str) -> bool {
        (self.whole || self.left.contains(name)) && !self.made.contains(name)
    }
}

/// The key that compose wants and `.env` lacks, from compose's complaint of a `${KEY:?}`: for the admin to set.
pub fn missing_value(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("required variable ")?;
    let (key, _) = rest.split_once(" is missing a value")?;
    (!key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some(key)
}

fn json_inner(path: &Path) -> String {
    let quoted = Value::String(path.to_string_lossy().into_owned()).to_string();
    quoted.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_services_that_a_profile_leaves_out_are_forgotten() {
        let config = br#"{"services": {
            "web": {"image": "w", "depends_on": {"db": {"required": false}}},
            "alone": {"image": "x"},
            "app": {"image": "a", "depends_on": {"db": {"required": false}, "web": {"required": true}}}
        }}"#;
        let whole: Value = serde_json::from_slice(&without_absent_needs(config).unwrap()).unwrap();
        assert_eq!(whole["services"]["web"], serde_json::json!({"image": "w"}));
        assert_eq!(whole["services"]["alone"], serde_json::json!({"image": "x"}));
        assert_eq!(whole["services"]["app"]["depends_on"], serde_json::json!({"web": {"required": true}}));
    }

    #[test]
    fn of_a_dry_run_those_are_kept_that_are_not_made_anew() {
        let said = " DRY-RUN MODE -  Container adp-db-1  Stopping\n DRY-RUN MODE -  Container adp-db-1  Stopped\n\
                    DRY-RUN MODE -  Network adp_back  Removed\n DRY-RUN MODE -  Container adp-db-1  Running \n\
                    DRY-RUN MODE -  Container adp-job-1  Created\n\
                    DRY-RUN MODE -  Container adp-e-1  Recreate\n DRY-RUN MODE -  Container adp-e-1  Recreated\n\
                    DRY-RUN MODE -  Container new-1  Creating\n DRY-RUN MODE -  Container new-1  Created\n\
                    DRY-RUN MODE -  Network adp_default  Created\n";
        let foretold = Foretold::read(said, true);
        let kept = |foretold: &Foretold| -> Vec<&str> {
            ["adp-db-1", "adp-e-1", "adp-ended-1", "adp-job-1", "new-1"]
                .into_iter()
                .filter(|name| foretold.keeps(name))
                .collect()
        };
        assert_eq!(kept(&foretold), ["adp-db-1", "adp-ended-1", "adp-job-1"]);
        assert_eq!(kept(&Foretold::read(said, false)), ["adp-db-1", "adp-job-1"]);
        assert_eq!(foretold.networks, ["adp_back"]);
    }

    #[test]
    fn what_compose_prints_twice_is_read_once() {
        let config = r#"{"name": "p", "services": {"web": {"image": "w", "environment": {"A": "$$host"}}}}"#;
        let resolved = Resolved::parse(config, &Manifest::default()).unwrap();
        assert_eq!(resolved.json["services"]["web"]["environment"]["A"], "$host");
    }

    #[test]
    fn the_key_that_lacks_a_value_is_told() {
        for (said, key) in [
            ("error while interpolating services.a.image: required variable NEEDED is missing a value", Some("NEEDED")),
            ("required variable DB_HOST is missing a value: name the host", Some("DB_HOST")),
            ("required variable two words is missing a value", None),
            ("services.a.image must be a string", None),
        ] {
            assert_eq!(missing_value(said), key, "{said}");
        }
        let compose = |said| {
            let root = PathBuf::from("/s");
            let files = vec![root.join("compose.yml")];
            let (env, directory) = (root.join(".env"), root.clone());
            Compose { root, directory, env, files, profiles: Vec::new() }.refused(said).hint.unwrap()
        };
        assert!(compose("required variable X is missing a value").starts_with("xr env set X=VALUE "));
        assert!(compose("services.a.image must be a string").ends_with(" config"));
        assert!(compose("unknown flag: --project-directory\nSee 'docker --help'.").starts_with("xr install; "));
    }
}
