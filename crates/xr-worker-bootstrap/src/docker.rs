//! Docker on a worker that has none, and away again.

use std::time::Duration;

use xr_host::Remote;
use xr_model::{Fault, Result};

const INSTALL: &str = include_str!("scripts/install-docker.sh");
const REMOVE: &str = include_str!("scripts/remove-docker.sh");
/// How long a package manager may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// Installs Docker's engine from the distribution's packages and starts it. Gives the packages that were not there before,
/// where the package manager tells.
///
/// # Errors
/// What the package manager said, its last lines.
pub async fn install_docker(remote: &Remote) -> Result<Vec<String>> {
    let output = remote.sh(INSTALL, b"", LIMIT).await?;
    if output.code != 0 {
        let said = output.error_text();
        let last: Vec<&str> = said.lines().rev().take(4).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(Fault::new(format!("{}: Docker cannot be installed: {}", remote.destination(), last.join("; ")))
            .hint(format!("install Docker's engine there by hand, then: xr worker add {}", remote.destination())));
    }
    Ok(output.text().lines().filter_map(|line| line.strip_prefix("new=")).map(str::to_owned).collect())
}

/// Takes packages away that [`install_docker`] has brought.
///
/// # Errors
/// What the package manager said.
pub async fn remove_docker(remote: &Remote, packages: &[String]) -> Result<()> {
    let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c));
    let names: Vec<&str> = packages.iter().filter(plain).map(String::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    let script = format!("PACKAGES='{}'\n{REMOVE}", names.join(" "));
    let output = remote.sh(&script, b"", LIMIT).await?;
    if output.code == 0 {
        return Ok(());
    }
    let named = format!("{}: Docker's packages cannot be removed", remote.destination());
    Err(Fault::new(format!("{named}: {}", output.error_text())))
}
