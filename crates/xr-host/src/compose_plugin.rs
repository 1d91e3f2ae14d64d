//! Where the Docker client would find compose. `docker compose` is three programs: the client, the plugin that says what it
//! is, and the plugin again that works. The first two take longer than the work.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use duct::Expression;
use rustix::fs::{Access, access};

/// Where plugins are for all users, in the order in which the client looks after the user's own folder
/// ([its source](https://github.com/docker/cli/blob/v28.5.1/cli-plugins/manager/manager_unix.go)).
const FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The program that `docker compose` starts; none where only the client can tell. `config` is the client's folder,
/// `~/.docker` as a rule.
pub(crate) fn path(config: Option<&Path>) -> Option<PathBuf> {
    find(config, &FOLDERS.map(Path::new))
}

/// The plugin with these arguments, which begin with `compose`, as the client starts it: it goes by a variable whether it is called
/// so, and ends with the client that another one names.
pub(crate) fn call(plugin: &Path, args: &[OsString]) -> Expression {
    let begun = duct::cmd(plugin, args).env("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "docker");
    begun.env_remove("DOCKER_CLI_PLUGIN_SOCKET")
}

fn find(config: Option<&Path>, folders: &[&Path]) -> Option<PathBuf> {
    let settings = config.map(|config| fs::read_to_string(config.join("config.json")).unwrap_or_default());
    if settings.is_some_and(|settings| settings.contains("cliPluginsExtraDirs")) {
        return None;
    }
    let own = config.map(|config| config.join("cli-plugins"));
    let places = own.iter().map(PathBuf::as_path).chain(folders.iter().copied());
    for path in places.map(|folder| folder.join("docker-compose")) {
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(about) if about.is_file() && access(&path, Access::EXEC_OK).is_ok() => return Some(path),
            // It counts all the same: the client says what is wrong with it.
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_plugin_is_called_as_the_client_calls_it() {
        let dir = tempfile::tempdir().unwrap();
        let plugin = dir.path().join("docker-compose");
        let script =
            "#!/bin/sh\necho \"$* by $DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND, ${DOCKER_CLI_PLUGIN_SOCKET-alone}\"\n";
        fs::write(&plugin, script).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        let args = ["compose", "config"].map(OsString::from);
        let said = call(&plugin, &args).env("DOCKER_CLI_PLUGIN_SOCKET", "/another's").read().unwrap();
        assert_eq!(said, "compose config by docker, alone");
    }

    #[test]
    fn the_first_plugin_counts_as_with_the_client() {
        let dir = tempfile::tempdir().unwrap();
        let [config, first, second] = ["config", "first", "second"].map(|name| dir.path().join(name));
        let plugin = |folder: &Path, mode: u32| {
            fs::create_dir_all(folder).unwrap();
            let path = folder.join("docker-compose");
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let found = || find(Some(&config), &[&first, &second]);
        assert_eq!(found(), None);
        let last = plugin(&second, 0o755);
        assert_eq!(found(), Some(last.clone()));
        assert_eq!(find(None, &[&first, &second]), Some(last));
        // One that cannot be run hides the next.
        plugin(&first, 0o644);
        assert_eq!(found(), None);
        let own = plugin(&config.join("cli-plugins"), 0o755);
        assert_eq!(found(), Some(own));
        // Only the client knows what else it goes by.
        fs::write(config.join("config.json"), r#"{"cliPluginsExtraDirs": ["/opt/plugins"]}"#).unwrap();
        assert_eq!(found(), None);
    }
}
