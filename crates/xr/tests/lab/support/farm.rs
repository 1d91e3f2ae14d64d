//! A stack with many workers: sshd on many addresses of this machine, all with the lab's engine behind them.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use duct::cmd;
use serde_json::Value;
use xr_lab::{Kex, Layout, MaxStartups, SshFarm};

use super::{Done, Stack};

/// Many hosts, called farm-1, farm-2, …
pub struct Farm<'a> {
    stack: &'a Stack,
    farm: SshFarm,
    config: PathBuf,
    runtime: PathBuf,
}

impl<'a> Farm<'a> {
    /// So many, each reached directly.
    pub fn direct(stack: &'a Stack, count: usize) -> Result<Self> {
        Self::of(stack, SshFarm::start(&Layout::from_env()?, count, MaxStartups::Default)?)
    }

    /// So many behind one jump host.
    pub fn behind_jump(stack: &'a Stack, count: usize) -> Result<Self> {
        Self::of(stack, SshFarm::behind_jump(&Layout::from_env()?, count)?)
    }

    fn of(stack: &'a Stack, farm: SshFarm) -> Result<Self> {
        let (config, runtime) = (farm.config(Kex::Curve25519)?, stack.scratch("run")?);
        Ok(Self { stack, farm, config, runtime })
    }

    /// Runs `xr` to its end.
    pub fn xr(&self, argv: &[&str]) -> Result<Done> {
        let xr = cmd(env!("CARGO_BIN_EXE_xr"), argv);
        let xr = xr.env("XR_SSH_CONFIG", &self.config).env("XDG_RUNTIME_DIR", &self.runtime);
        Done::of(argv, self.stack.with_environment(xr))
    }

    /// Writes all of them into the list of workers.
    pub fn list_all(&self) -> Result<()> {
        let mut text = "[fleet]\npatience = \"60s\"\nat_once = 8\nconfirm = \"300s\"\n".to_owned();
        for name in self.farm.destinations() {
            write!(
                text,
                "\n[[workers]]\nname = \"{name}\"\nssh = \"{name}\"\nserver = \"http://127.0.0.1:{}\"\n",
                self.stack.port
            )?;
        }
        Ok(std::fs::write(self.stack.root.join(".xr/site.toml"), text)?)
    }

    /// Makes all of them workers.
    pub fn add_all(&self) -> Result<()> {
        self.list_all()?;
        self.xr(&["worker", "sync"])?.exits(0);
        Ok(())
    }

    /// What `xr worker list --json` says of each.
    pub fn rows(&self) -> Result<Vec<Value>> {
        let done = self.xr(&["worker", "list", "--json"])?.exits(0);
        let document: Value = serde_json::from_str(&done.stdout).with_context(|| done.to_string())?;
        Ok(document["workers"].as_array().cloned().unwrap_or_default())
    }

    /// Connections that the hosts' sshd have dropped.
    pub fn refused(&self) -> usize {
        self.farm.refused()
    }

    /// The version of each agent that runs, as the engine tells.
    pub fn agents(&self) -> Result<Vec<String>> {
        let stack = format!("label=xr.stack={}", self.stack.project);
        let format = "{{.Label \"xr.version\"}}";
        let told =
            self.stack.docker(&["ps", "--filter", &stack, "--filter", "label=xr.role=agent", "--format", format])?;
        Ok(told.lines().map(str::to_owned).collect())
    }
}

impl Drop for Farm<'_> {
    fn drop(&mut self) {
        super::workers::end_connections(&self.runtime);
        let stack = format!("label=xr.stack={}", self.stack.project);
        let listed = self.stack.docker(&["ps", "-aq", "--filter", &stack]).unwrap_or_default();
        let found: Vec<&str> = listed.lines().collect();
        if !found.is_empty() {
            let _ = self.stack.docker(&[&["rm", "-fv"], found.as_slice()].concat());
        }
    }
}
