//! Calling cargo from a program that cargo itself started.

use crate::Layout;
use duct::{Expression, cmd};

/// `cargo …` in the workspace, as [`plain`].
pub fn cargo(argv: &[&str]) -> Expression {
    plain(cmd("cargo", argv))
}

/// A command in the workspace that calls cargo, with the environment of a plain call: what `cargo run` adds about the
/// package that it runs makes build scripts run, and their crates build, again.
pub fn plain(command: Expression) -> Expression {
    let added = |name: &str| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name == "CARGO"
            || name == "LD_LIBRARY_PATH"
    };
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| added(name))
        .fold(command.dir(Layout::workspace()), |call, name| call.env_remove(name))
}
