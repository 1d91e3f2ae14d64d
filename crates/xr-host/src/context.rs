//! Which engine is meant. The Docker client goes by `DOCKER_HOST`, else by a context
//! ([order of precedence](https://docs.docker.com/engine/manage-resources/contexts/)); whoever asks the engine's API goes by
//! this, and so do the programs that xr starts: compose must not create on one engine what is looked for on another.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xr_model::{Fault, Result};

/// Where the engine is when nobody says otherwise.
pub(crate) const USUAL: &str = "unix:///var/run/docker.sock";

/// Where the engine is and who says so; none when nobody does and it is at its usual place.
///
/// # Errors
/// When a context is chosen that is not there or cannot be read.
pub fn chosen_engine() -> Result<Option<ChosenEngine>> {
    choose(variable("DOCKER_HOST"), variable("DOCKER_CONTEXT"), client_folder().as_deref())
}

/// Where the Docker client has its settings, contexts and plugins of one user.
pub(crate) fn client_folder() -> Option<PathBuf> {
    // Of the user's account where nobody sets HOME; docker does the same.
    let home = std::env::home_dir().map(|home| home.join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or(home)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An engine that somebody has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenEngine {
    /// `unix:///…` and the like.
    pub host: String,
    /// Who says so: `DOCKER_HOST`, or a context by name.
    pub by: String,
}

fn choose(host: Option<String>, context: Option<String>, folder: Option<&Path>) -> Result<Option<ChosenEngine>> {
    if let Some(host) = host {
        return Ok(Some(ChosenEngine { host, by: "DOCKER_HOST".to_owned() }));
    }
    let (Some(folder), configured) = (folder, folder.and_then(current_context)) else { return Ok(None) };
    let Some(name) = context.or(configured).filter(|name| name != "default") else { return Ok(None) };
    let id: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join("contexts/meta").join(id).join("meta.json");
    let unknown =
        || Fault::new(format!("the Docker context `{name}` is chosen and cannot be read")).hint("docker context ls");
    let text = fs::read(&path).map_err(|error| unknown().because(error))?;
    let meta: Value = serde_json::from_slice(&text).map_err(|error| unknown().because(error))?;
    let host = meta["Endpoints"]["docker"]["Host"].as_str().filter(|host| !host.is_empty()).ok_or_else(unknown)?;
    Ok(Some(ChosenEngine { host: host.to_owned(), by: format!("the Docker context `{name}`") }))
}

/// The context that `docker context use` has chosen. A file that cannot be read chooses none: the client says so as well.
fn current_context(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    config["currentContext"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use super::*;

    #[test]
    fn a_variable_beats_a_context_and_a_context_the_usual_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |host: Option<&str>, context: Option<&str>| {
            choose(host.map(str::to_owned), context.map(str::to_owned), Some(folder.path()))
        };
        let host = |chosen: Result<Option<ChosenEngine>>| chosen.unwrap().map(|chosen| chosen.host);
        assert_eq!(host(at(None, None)), None);
        assert_eq!(choose(None, None, None).unwrap(), None);
        let digest: String = Sha256::digest("far").iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = folder.path().join("contexts/meta").join(digest);
        fs::create_dir_all(&meta).unwrap();
        fs::write(meta.join("meta.json"), r#"{"Name":"far","Endpoints":{"docker":{"Host":"unix:///run/far.sock"}}}"#)
            .unwrap();
        assert_eq!(host(at(None, Some("far"))).as_deref(), Some("unix:///run/far.sock"));
        fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        assert_eq!(host(at(None, None)).as_deref(), Some("unix:///run/far.sock"));
        assert_eq!(host(at(None, Some("default"))), None);
        assert_eq!(host(at(Some("unix:///own"), None)).as_deref(), Some("unix:///own"));
        assert!(at(None, Some("gone")).unwrap_err().message.contains("`gone`"));
    }
}
