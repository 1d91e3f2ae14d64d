//! The release's own files that containers see: a proxy's configuration, a folder of templates. When they change, the
//! container has to be made anew, although nothing in the compose file says so.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_env_writer::EnvFile;
use xr_model::Result;
use xr_session::Session;
use xr_stack::{Resolved, inline_files};

use crate::bundle_files::BundleFiles;

/// Notes with each service what the files contain that it mounts from the tree of `commit`; of a bundle, what the files
/// contain that its generation keeps; and what compose writes into it out of variables.
pub fn note(
    session: &Session<'_>,
    resolved: &mut Resolved,
    env: &EnvFile,
    commit: Option<&str>,
    kept: Option<(&BundleFiles, &Path)>,
) -> Result<()> {
    // Not those of the shell, which another caller does not have.
    let value = |key: &str| env.get(key).map(|value| value.text);
    for service in resolved.services.iter_mut().filter(|service| service.injected) {
        service.variables = from_variables(&resolved.json, &service.name, &value);
    }
    if let Some((own, staged)) = kept {
        own.contents(staged).into_iter().for_each(|(service, contents)| put(resolved, service, &contents));
    }
    let (Some(checkout), Some(commit)) = (&session.checkout, commit) else { return Ok(()) };
    let mounts: Vec<(String, Vec<String>)> = resolved
        .services
        .iter()
        .map(|service| (service.name.clone(), mounts(&resolved.json, &service.name, &session.root)))
        .collect();
    let mut paths: Vec<&str> = mounts.iter().flat_map(|(_, paths)| paths).map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Ok(());
    }
    let ids = checkout.ids(commit, &paths)?;
    for (service, paths) in &mounts {
        let known: Vec<String> =
            paths.iter().filter_map(|path| ids.get(path).map(|id| format!("{path} {id}"))).collect();
        put(resolved, service, &known);
    }
    Ok(())
}

/// A digest of the files whose content is a variable's value; none when there are none.
fn from_variables(config: &Value, service: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let files = inline_files(config, service, value).into_iter();
    let fixed = inline_files(config, service, &|_| Some(String::new()));
    let of_variables = files.filter(|file| !fixed.contains(file));
    let contents: Vec<String> = of_variables.map(|file| format!("{} {}", file.path, file.content)).collect();
    (!contents.is_empty()).then(|| digest(&contents.join("\n")))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(resolved: &mut Resolved, service: &str, contents: &[String]) {
    let service = resolved.services.iter_mut().find(|other| other.name == service);
    if let Some(service) = service.filter(|_| !contents.is_empty()) {
        service.content = digest(&contents.join("\n"));
    }
}

/// The paths below the root that a service mounts, from the root.
pub fn mounts(config: &Value, service: &str, root: &Path) -> Vec<String> {
    let definition = &config["services"][service];
    let list = |key: &str| definition[key].as_array().into_iter().flatten();
    let binds = list("volumes").filter(|mount| mount["type"] == "bind").filter_map(|mount| mount["source"].as_str());
    let files = ["configs", "secrets"]
        .into_iter()
        .flat_map(|kind| list(kind).filter_map(move |used| config[kind][used["source"].as_str()?]["file"].as_str()));
    let mut paths: Vec<String> = binds
        .chain(files)
        .filter_map(|path| Path::new(path).strip_prefix(root).ok())
        .map(|path| path.to_string_lossy().trim_end_matches('/').to_owned())
        // The root itself holds `.env` and what xr writes.
        .filter(|path| !path.is_empty())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_service_mounts_from_the_tree_is_found() {
        let config = json!({
            "services": {"proxy": {
                "volumes": [
                    {"type": "bind", "source": "/srv/shop/conf/nginx.conf"},
                    {"type": "bind", "source": "/etc/localtime"},
                    {"type": "bind", "source": "/srv/shop"},
                    {"type": "volume", "source": "data"},
                ],
                "configs": [{"source": "motd"}],
                "secrets": [{"source": "outside"}],
            }},
            "configs": {"motd": {"file": "/srv/shop/conf/motd"}},
            "secrets": {"outside": {"external": true}},
        });
        assert_eq!(mounts(&config, "proxy", Path::new("/srv/shop")), ["conf/motd", "conf/nginx.conf"]);
        assert!(mounts(&config, "other", Path::new("/srv/shop")).is_empty());
    }

    #[test]
    fn what_compose_writes_out_of_variables_counts_and_what_stands_in_the_compose_file_counts_there() {
        let config = json!({
            "services": {"web": {"configs": [{"source": "motd"}], "secrets": [{"source": "token"}]}},
            "configs": {"motd": {"content": "hello"}},
            "secrets": {"token": {"environment": "TOKEN"}},
        });
        let with = |token: Option<&str>| from_variables(&config, "web", &|_| token.map(str::to_owned));
        assert!(with(Some("a")).is_some() && with(Some("a")) == with(Some("a")) && with(Some("a")) != with(Some("b")));
        assert_eq!(with(None), None);
    }
}
