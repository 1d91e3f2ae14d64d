//! Running programs inside containers: health probes, hooks, backups.

use std::io::Write;

use bollard::{
    container::LogOutput, exec::StartExecResults, models::ExecConfig,
    query_parameters::ContainerArchiveInfoOptionsBuilder,
};
use futures_util::StreamExt;
use xr_model::{Fault, Result};

use crate::engine::{Engine, is_status};

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
        let code = self.exec(id, &argv, &mut said, true).await?;
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

    /// Runs a program in a container; its standard output goes to `out`, and its standard error too when `both`.
    /// Returns the exit code.
    ///
    /// # Errors
    /// When the container does not run or `out` refuses.
    pub async fn exec(&self, id: &str, argv: &[String], out: &mut (dyn Write + Send), both: bool) -> Result<i64> {
        let named = || format!("cannot run `{}` in container {}", argv.join(" "), id.get(..12).unwrap_or(id));
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            ..Default::default()
        };
        let exec = self.docker.create_exec(id, config).await.map_err(Fault::at(named()))?;
        let started = self.docker.start_exec(&exec.id, None).await.map_err(Fault::at(named()))?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(chunk) = output.next().await {
                match chunk.map_err(Fault::at(named()))? {
                    LogOutput::StdErr { .. } if !both => {}
                    chunk => out.write_all(&chunk.into_bytes()).map_err(Fault::at(named()))?,
                }
            }
        }
        let ended = self.docker.inspect_exec(&exec.id).await.map_err(Fault::at(named()))?;
        Ok(ended.exit_code.unwrap_or(-1))
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
