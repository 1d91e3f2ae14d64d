//! Docker on this machine: is it ready, and how to install it from the distribution's own packages.

mod apt;
mod daemon_json;
mod families;
mod init;
mod install;
mod plan;
mod readiness;

pub use daemon_json::set_registry_mirrors;
pub use init::Init;
pub use install::{InstallOptions, install, plan_install};
pub use plan::{InstallPlan, Step};
pub use readiness::{EngineReadiness, EngineVersion, Lack, MINIMUM_API, MINIMUM_COMPOSE, examine};

use std::{
    env,
    path::{Path, PathBuf},
};

/// Where a program is, looking into the administrator's folders too, which an ordinary user's `PATH` leaves out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
