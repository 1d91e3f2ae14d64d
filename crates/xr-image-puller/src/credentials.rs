//! The logins of the docker command line: `config.json` and its credential helpers.

use std::{collections::HashMap, fmt, path::Path, sync::Mutex};

use bollard::{Docker, auth::DockerCredentials};
use docker_credential::{DockerCredential, get_credential_from_reader};

/// Logins by registry. A registry without an entry is asked anonymously; no helper is started for it.
#[derive(Default)]
pub struct Credentials {
    config: Vec<u8>,
    known: Mutex<HashMap<String, Found>>,
}

type Found = Result<Option<DockerCredentials>, String>;

impl Credentials {
    /// No logins at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// From `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; none when there is no such file.
    pub fn load() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG")
            .map(Into::into)
            // Of the user's account where nobody sets HOME, as a systemd unit; docker does the same.
            .or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
        folder.map_or_else(Self::none, |folder| Self::in_folder(&folder))
    }

    /// From `config.json` in `folder`; none when it cannot be read.
    pub fn in_folder(folder: &Path) -> Self {
        Self { config: std::fs::read(folder.join("config.json")).unwrap_or_default(), known: Mutex::default() }
    }

    /// The login for a registry's host. The error is a sentence without secrets: what helpers print is kept out.
    pub(crate) async fn of(&self, registry: &str) -> Found {
        let Some(key) = self.entry(registry) else { return Ok(None) };
        if let Some(found) = self.known.lock().ok().and_then(|known| known.get(&key).cloned()) {
            return found;
        }
        // A helper is a program, and may ask a keyring: off the thread that drives everything else.
        let (config, server) = (self.config.clone(), key.clone());
        let found = tokio::task::spawn_blocking(move || look_up(&config, &server))
            .await
            .unwrap_or_else(|_| Err(failed(registry)));
        let found = found.map_err(|_| failed(registry));
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, found.clone());
        }
        found
    }

    /// The key under which `config.json` knows the registry: Docker Hub's is `https://index.docker.io/v1/`.
    fn entry(&self, registry: &str) -> Option<String> {
        let config: serde_json::Value = serde_json::from_slice(&self.config).ok()?;
        ["credHelpers", "auths"]
            .iter()
            .filter_map(|section| config.get(section)?.as_object())
            .flat_map(|section| section.keys())
            .find(|key| host(key) == host(registry))
            .cloned()
    }
}

/// `docker`, sending logins as the engine reads them: in the URL alphabet of base64. bollard writes the other one, and
/// engines take a header that they cannot read for no login at all.
pub(crate) fn sending_logins(docker: &Docker) -> Docker {
    docker.clone().with_request_modifier(|mut request| {
        if let Some(login) = request.headers_mut().get_mut("x-registry-auth")
            && let Ok(text) = login.to_str()
            && let Ok(text) = text.replace('+', "-").replace('/', "_").parse()
        {
            *login = text;
            login.set_sensitive(true);
        }
        request
    })
}

fn failed(registry: &str) -> String {
    format!("the login for {registry} in docker's config.json could not be read")
}

fn look_up(config: &[u8], server: &str) -> Found {
    let (username, password, identitytoken) = match get_credential_from_reader(config, server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => (Some(name), Some(password), None),
        Ok(DockerCredential::IdentityToken(token)) => (None, None, Some(token)),
        Err(docker_credential::CredentialRetrievalError::NoCredentialConfigured) => return Ok(None),
        Err(_) => return Err(String::new()),
    };
    Ok(Some(DockerCredentials {
        username,
        password,
        identitytoken,
        serveraddress: Some(server.to_owned()),
        ..Default::default()
    }))
}

fn host(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match bare.split('/').next().unwrap_or_default() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Credentials {
        Credentials { config: text.into(), known: Mutex::default() }
    }

    fn login(credentials: &Credentials, registry: &str) -> Found {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(credentials.of(registry))
    }

    #[test]
    fn docker_hubs_login_is_found_under_its_old_address() {
        // "me:secret"
        let credentials = config(r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}}}"#);
        let found = login(&credentials, "docker.io").unwrap().unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("secret")));
        assert!(login(&credentials, "ghcr.io").unwrap().is_none());
    }

    #[test]
    fn a_store_is_not_asked_for_registries_without_an_entry() {
        let credentials = config(r#"{"auths": {"a.example": {}}, "credsStore": "not-installed"}"#);
        assert!(login(&credentials, "docker.io").unwrap().is_none());
        let error = login(&credentials, "a.example").unwrap_err();
        assert!(error.contains("a.example"), "{error}");
    }

    #[test]
    fn no_config_or_a_broken_one_means_anonymous() {
        for text in ["", "{", "[]", r#"{"auths": null}"#] {
            assert!(login(&config(text), "docker.io").unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let credentials = config(r#"{"auths": {"a.example": {"username": "me", "password": "hunter2"}}}"#);
        login(&credentials, "a.example").unwrap();
        let sources = crate::Sources::new(&[], credentials).unwrap();
        let text = format!("{sources:?}");
        assert!(!text.contains("hunter2") && !text.contains("me\""), "{text}");
    }
}
