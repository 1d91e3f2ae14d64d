//! What a bundle's services read beside the compose files: configuration that they mount, `env_file`s, the files of
//! `configs` and `secrets`. Without git nobody else could put them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result};
use xr_session::Session;
use xr_stack::{Compose, Stack};

use crate::{bundle, staging};

/// The largest file that is kept.
const LARGEST: u64 = 16 << 20;
/// How much is kept in all.
const ALL: u64 = 64 << 20;
/// How many files are kept in all.
const MANY: usize = 1000;
/// Seconds that unpacking a bundle may take.
const UNPACKING: u64 = 600;
/// Certificates and keys are renewed on the host: the old ones would not serve any more.
const HOSTS_OWN: [&str; 7] = ["pem", "key", "crt", "cer", "p12", "pfx", "jks"];

/// Which of a bundle's own files a generation keeps; beside its files in `own-files.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFiles {
    /// Service → the kept files that it reads, from the root.
    pub services: BTreeMap<String, BTreeSet<String>>,
    /// Kept files that a service may write too.
    pub writable: Vec<String>,
    /// What services read and the generation does not keep, and the reason.
    pub not_kept: BTreeMap<String, String>,
}

/// A file or folder that a service reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    service: String,
    path: PathBuf,
    writable: bool,
}

impl BundleFiles {
    /// What the kept files of each service contain, for those that read any.
    pub fn contents(&self, staged: &Path) -> Vec<(&str, Vec<String>)> {
        let one = |file: &String| {
            let bytes = fs::read(staged.join(file)).unwrap_or_default();
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{file} {digest}")
        };
        self.services.iter().map(|(service, files)| (service.as_str(), files.iter().map(one).collect())).collect()
    }

    /// What a generation kept; nothing for one of a git clone.
    pub fn of(session: &Session<'_>, number: u32) -> Self {
        fs::read(record(session, number)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

fn record(session: &Session<'_>, number: u32) -> PathBuf {
    session.generations.dir(number).join("own-files.json")
}

/// The compose files of the tree with their variables left in: only so does compose still tell the `env_file`s.
/// Nothing when compose refuses the files; resolving them tells why.
pub fn as_written(compose: &Compose) -> Result<Value> {
    let output = compose.command().args(["config", "--no-interpolate", "--format", "json"]).run()?;
    Ok(if output.code == 0 { serde_json::from_slice(&output.stdout).unwrap_or_default() } else { Value::Null })
}

/// The `env_file`s of all services.
pub fn env_file_paths(written: &Value) -> Vec<PathBuf> {
    env_files(written).into_iter().map(|source| source.path).collect()
}

/// Copies the `env_file`s to a staged tree, which compose cannot read without them.
pub fn keep_env_files(session: &Session<'_>, written: &Value, staged: &Path) -> Result<()> {
    let (files, _) = chosen(&session.root, &env_files(written), &[]);
    files.keys().try_for_each(|file| copy(&session.root.join(file), &staged.join(file)))
}

/// Copies everything of the tree that the services read to a staged tree, as far as it is not too much, and notes it.
pub fn keep(session: &Session<'_>, stack: &Stack, configs: [&Value; 2], number: u32) -> Result<BundleFiles> {
    let staged = xr_session::root_of(session, number);
    let mut sources = env_files(configs[0]);
    sources.extend(configs.into_iter().flat_map(mounted));
    let mut not_ours =
        vec![session.home.path().to_owned(), session.root.join(".git"), stack.layout.under(&session.root).env_path()];
    not_ours.extend(stack.manifest.folders.iter().map(|f| session.root.join(f.path.replace("{name}", &stack.name))));
    not_ours.extend(stack.manifest.certificate.iter().map(|c| session.root.join(&c.directory)));
    let (files, mut not_kept) = chosen(&session.root, &sources, &not_ours);
    let version = stack.layout.under(&session.root).version_path();
    let mut own = BundleFiles::default();
    let mut bytes = 0;
    for (name, (writable, services)) in files {
        let from = session.root.join(&name);
        if writable && !unpacked_with(&from, &version) {
            not_kept.insert(name, "a service may write it".to_owned());
            continue;
        }
        let size = fs::metadata(&from).map_or(0, |meta| meta.len());
        if size > LARGEST || bytes + size > ALL || own.services.values().map(BTreeSet::len).sum::<usize>() >= MANY {
            not_kept.insert(name, "more than a generation keeps".to_owned());
            continue;
        }
        bytes += size;
        copy(&from, &staged.join(&name))?;
        if writable {
            own.writable.push(name.clone());
        }
        for service in services {
            own.services.entry(service).or_default().insert(name.clone());
        }
    }
    forget_data(session, stack, &staged, &sources, &not_kept)?;
    own.not_kept = not_kept;
    let json = serde_json::to_vec_pretty(&own).map_err(Fault::at("cannot write which files are kept"))?;
    write_atomic(&record(session, number), &json, 0o600, Ownership::Keep)?;
    Ok(own)
}

/// Takes out of a staged tree what stands in the compose folder and a service may write, or the host renews: put back, it
/// would be lost as it is. The files that describe the stack stay.
fn forget_data(
    session: &Session<'_>,
    stack: &Stack,
    staged: &Path,
    sources: &[Source],
    not_kept: &BTreeMap<String, String>,
) -> Result<()> {
    let layout = &stack.layout;
    let named = layout.files.iter().chain(&layout.dev_files).chain(&layout.template).map(String::as_str);
    let stacks: Vec<&str> = named.chain(layout.managed()).chain(["xr.toml"]).collect();
    let data = data_folders(sources);
    for file in bundle::files(staged)? {
        let name = file.display().to_string();
        let yaml = file.extension().is_some_and(|end| end == "yml" || end == "yaml");
        let real = session.root.join(&file);
        let written = not_kept.contains_key(&name) || data.iter().any(|folder| real.starts_with(folder));
        if written && !yaml && !stacks.contains(&name.as_str()) {
            let path = staged.join(&file);
            fs::remove_file(&path).map_err(Fault::at(format!("cannot remove {}", path.display())))?;
        }
    }
    Ok(())
}

/// The folders that a service may write.
fn data_folders(sources: &[Source]) -> Vec<&Path> {
    sources.iter().filter(|s| s.writable && s.path.is_dir()).map(|s| s.path.as_path()).collect()
}

/// Whether a file was written when VERSION was: an archive is unpacked in one go, a service writes whenever it likes. What
/// it wrote must not be taken for configuration.
fn unpacked_with(file: &Path, version: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).ok().map(|meta| meta.ctime());
    changed(file).zip(changed(version)).is_some_and(|(file, version)| file.abs_diff(version) <= UNPACKING)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() { Ok(()) } else { staging::copy(from, to) }
}

fn services(config: &Value) -> impl Iterator<Item = (&String, &Value)> {
    config["services"].as_object().into_iter().flatten()
}

fn env_files(config: &Value) -> Vec<Source> {
    let of = |(service, definition): (&String, &Value)| {
        let listed = definition["env_file"].as_array().cloned().unwrap_or_default();
        let service = service.clone();
        listed.into_iter().filter_map(move |file| {
            let path = file["path"].as_str().or_else(|| file.as_str())?;
            Some(Source { service: service.clone(), path: path.into(), writable: false })
        })
    };
    services(config).flat_map(of).collect()
}

/// Bind mounts, and the files of `configs` and `secrets`.
fn mounted(config: &Value) -> Vec<Source> {
    let mut sources = Vec::new();
    for (service, definition) in services(config) {
        let mut add = |path: &str, writable| {
            sources.push(Source { service: service.clone(), path: path.into(), writable });
        };
        for mount in definition["volumes"].as_array().into_iter().flatten().filter(|mount| mount["type"] == "bind") {
            mount["source"].as_str().into_iter().for_each(|path| add(path, mount["read_only"] != true));
        }
        for kind in ["configs", "secrets"] {
            for used in definition[kind].as_array().into_iter().flatten() {
                let name = used["source"].as_str().or_else(|| used.as_str()).unwrap_or_default();
                config[kind][name]["file"].as_str().into_iter().for_each(|path| add(path, false));
            }
        }
    }
    sources
}

type Chosen = BTreeMap<String, (bool, BTreeSet<String>)>;

/// The files below `root` that `sources` mean, and what is left out of them by name. A folder that a service may write is
/// data: nobody can tell what in it came with the bundle.
fn chosen(root: &Path, sources: &[Source], not_ours: &[PathBuf]) -> (Chosen, BTreeMap<String, String>) {
    let (mut files, mut left_out) = (Chosen::new(), BTreeMap::new());
    let below = |path: &Path| path.strip_prefix(root).ok().map(|rest| rest.display().to_string());
    let data = data_folders(sources);
    for source in sources {
        let plain = source.path.components().all(|part| !matches!(part, Component::ParentDir));
        if !plain || below(&source.path).is_none() {
            continue;
        }
        let mut paths = vec![source.path.clone()];
        while let Some(path) = paths.pop() {
            let Some(name) = below(&path) else { continue };
            if not_ours.iter().any(|other| path.starts_with(other)) {
                continue;
            }
            if data.iter().any(|data| path.starts_with(data)) {
                let name = if name.is_empty() { ".".to_owned() } else { name };
                left_out.insert(name, "a service may write there".to_owned());
                continue;
            }
            let linked =
                path.canonicalize().is_ok_and(|real| !root.canonicalize().is_ok_and(|root| real.starts_with(root)));
            if linked || files.len() > 2 * MANY {
                left_out.insert(name, if linked { "a link out of the stack" } else { "too many files" }.to_owned());
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                paths.extend(fs::read_dir(&path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
            } else if path.extension().is_some_and(|end| HOSTS_OWN.iter().any(|known| end.eq_ignore_ascii_case(known)))
            {
                left_out.insert(name, "a certificate or key of this host".to_owned());
            } else if path.is_file() {
                let entry = files.entry(name).or_default();
                entry.0 |= source.writable;
                entry.1.insert(source.service.clone());
            }
        }
    }
    (files, left_out)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_services_read_is_kept_and_what_they_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in ["conf/a.conf", "conf/live/log", "conf/tls.pem", "one.conf", "web.env", "tok", "data/rows", ".xr/x"]
        {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let at = |name: &str| root.join(name).display().to_string();
        let bind = |name: &str, read_only: bool| json!({"type": "bind", "source": at(name), "target": "/t", "read_only": read_only});
        let config = json!({
            "services": {
                "web": {
                    "env_file": [{"path": at("web.env"), "required": true}],
                    "volumes": [bind("conf", true), bind("one.conf", false), bind(".xr", true), {"type": "volume", "source": "v"}],
                    "secrets": [{"source": "t", "target": "/run/secrets/t"}]
                },
                "db": {"volumes": [bind("data", false), bind("conf/live", false),
                    {"type": "bind", "source": "/etc/localtime", "target": "/l", "read_only": true}]}
            },
            "secrets": {"t": {"file": at("tok")}}
        });
        let mut sources = env_files(&config);
        sources.extend(mounted(&config));
        let (files, left_out) = chosen(root, &sources, &[root.join(".xr")]);
        let kept: Vec<(&str, bool)> = files.iter().map(|(name, (writable, _))| (name.as_str(), *writable)).collect();
        assert_eq!(kept, [("conf/a.conf", false), ("one.conf", true), ("tok", false), ("web.env", false)]);
        let left: Vec<(&str, &str)> = left_out.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            left,
            [
                ("conf/live", "a service may write there"),
                ("conf/tls.pem", "a certificate or key of this host"),
                ("data", "a service may write there")
            ]
        );
    }
}
