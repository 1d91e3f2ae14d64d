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

/// A health probe's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Exit code 0.
    Passed,
    /// Another exit code, and the last of what it said.
    Failed(String),
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
        let Some(code) = self.run_program(id, program, tokio::time::sleep(PROBE)).await? else {
            return Ok(Probe::Failed(format!("no answer within {} s", PROBE.as_secs())));
        };
        if code == 0 {
            return Ok(Probe::Passed);
        }
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        Ok(Probe::Failed(format!(
            "exit code {code}{}{}",
            if last.is_empty() { "" } else { ": " },
            last.chars().take(300).collect::<String>()
        )))
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
