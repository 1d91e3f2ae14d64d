//! What a program that is tested finds around it.

use std::path::Path;

use duct::Expression;

/// For programs in Go, of which an engine starts dozens for each container, and each for a moment: they end before it is
/// worth their while to tidy up memory.
pub(crate) const HASTE: [(&str, &str); 1] = [("GOGC", "400")];

/// The command in `folder`, with nobody's settings around it, this home, this engine and no terminal. Programs are looked
/// for in `first`, if there is one, and then where this process looks for them. An exit code other than 0 is an answer.
pub fn with_environment(
    command: Expression,
    folder: &Path,
    home: &Path,
    docker_host: &str,
    first: Option<&Path>,
) -> Expression {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = first.map_or_else(|| path.clone(), |first| format!("{}:{path}", first.display()));
    let hasty = HASTE.map(|(name, value)| (name, value.to_owned()));
    let own = [
        ("PATH", path),
        ("HOME", home.display().to_string()),
        ("DOCKER_HOST", docker_host.to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
        ("TERM", "dumb".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    command.full_env(own.into_iter().chain(hasty)).dir(folder).stdin_null().unchecked()
}
