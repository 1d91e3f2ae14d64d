//! Asking containers: their own health check, and what is in them.

use std::time::Duration;

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;
use xr_model::{Fault, Result};

use crate::{
    engine::{Engine, is_status},
    program::{Program, Said, Setting},
};

/// How long a health probe may take; longer than engines give one by default.
const PROBE: Duration = Duration::from_secs(30);
/// How much of what a probe says is kept.
const KEPT: usize = 64 << 10;

/// What a shell [ends with](https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_08_02), and Docker,
/// when a program cannot be run, or is not there.
const NOT_RUNNABLE: i64 = 126;
const NOT_FOUND: i64 = 127;

/// A container's own health check.
#[derive(Clone, Debug)]
pub struct HealthTest {
    /// `["CMD", …]` or `["CMD-SHELL", script]`; empty when it has none.
    pub argv: Vec<String>,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
    /// Between two checks of the engine.
    pub interval: Duration,
    /// Failures do not count so long after its start.
    pub start_period: Duration,
}

impl HealthTest {
    /// How long after a start the engine calls a container unhealthy whose check never passes, its own duration aside.
    pub fn unhealthy_after(&self) -> Duration {
        self.start_period.saturating_add(self.interval.saturating_mul(self.retries))
    }
}

/// A health probe's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Exit code 0.
    Passed,
    /// Another exit code, and the last of what it said.
    Failed(String),
    /// Its program is not in the container, or none that can be run.
    CannotRun(String),
}

impl Engine {
    /// Runs a container's own health test now, as the engine would: `["CMD", …]` as it stands, `["CMD-SHELL", s]` by `/bin/sh -c`.
    ///
    /// # Errors
    /// When the container does not run.
    pub async fn probe(&self, id: &str, test: &[String]) -> Result<Probe> {
        let argv: Vec<String> = match test.split_first() {
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                ["/bin/sh", "-c"].into_iter().map(str::to_owned).chain(rest.iter().cloned()).collect()
            }
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            _ => test.to_vec(),
        };
        let mut said = Vec::new();
        let mut hear = |part: Said<'_>| {
            let (Said::Out(bytes) | Said::Error(bytes)) = part;
            said.extend_from_slice(bytes);
            said.drain(..said.len().saturating_sub(KEPT));
            Ok(())
        };
        let program = Program { argv: &argv, input: None, hear: &mut hear, setting: Setting::default() };
        let ended = match self.run_program(id, program, tokio::time::sleep(PROBE)).await {
            // Newer engines say so instead of an exit code.
            Err(fault) if is_no_program(&fault.chain()) => return Ok(Probe::CannotRun(fault.chain())),
            ended => ended?,
        };
        let Some(code) = ended else {
            return Ok(Probe::Failed(format!("no answer within {} s", PROBE.as_secs())));
        };
        if code == 0 {
            return Ok(Probe::Passed);
        }
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let last: String = last.chars().take(300).collect();
        let why = format!("exit code {code}{}{last}", if last.is_empty() { "" } else { ": " });
        Ok(if matches!(code, NOT_RUNNABLE | NOT_FOUND) { Probe::CannotRun(why) } else { Probe::Failed(why) })
    }

    /// Whether a path exists in a container; relative to its working folder. Starts no process there.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn has_path(&self, id: &str, path: &str) -> Result<bool> {
        let (_, folder) = self.surroundings(id).await?;
        let absolute =
            if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", folder.trim_end_matches('/')) };
        let options = ContainerArchiveInfoOptionsBuilder::new().path(&absolute).build();
        match self.docker.get_container_archive_info(id, Some(options)).await {
            Ok(_) => Ok(true),
            Err(error) if is_status(&error, 404) => Ok(false),
            Err(error) => Err(Fault::new(format!("cannot look for {absolute} in container {id}")).because(error)),
        }
    }

    /// Whether a program is on the `PATH` of a container. Starts no process there.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn has_program(&self, id: &str, program: &str) -> Result<bool> {
        let (env, _) = self.surroundings(id).await?;
        let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("/usr/local/bin:/usr/bin:/bin");
        for folder in path.split(':') {
            if self.has_path(id, &format!("{folder}/{program}")).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the engine could not start a program because there is none of the name, or none that can be run.
fn is_no_program(said: &str) -> bool {
    // The program's name between quotes: the engine's own files may be missing as well, when a container has just ended.
    said.contains("OCI runtime exec failed")
        && said.contains("exec: \"")
        && ["executable file not found", "no such file or directory", "permission denied", "exec format error"]
            .iter()
            .any(|why| said.contains(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_finds_no_program_is_understood() {
        let said = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"curl\": executable file not found in $PATH: unknown";
        assert!(is_no_program(said));
        assert!(is_no_program(
            r#"OCI runtime exec failed: exec failed: exec: "/ask": stat /ask: no such file or directory: unknown"#
        ));
        assert!(!is_no_program(
            "OCI runtime exec failed: exec failed: open /proc/7/ns/pid: no such file or directory: unknown"
        ));
        assert!(!is_no_program("container 12ab is not running"));
        assert!(!is_no_program("OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown"));
    }
}
