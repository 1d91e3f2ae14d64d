//! A host behind another: on a network that only the two of them and its neighbours share, closed to this machine.

use anyhow::Result;

use super::Host;
use crate::Engine;

/// The network that a hidden host is on. The last who uses it removes it.
#[derive(Debug)]
pub(super) struct Hidden {
    network: String,
    engine: Engine,
}

/// The network behind the host of this name.
pub(super) fn behind(jump: &str) -> String {
    format!("xr-lab-behind-{jump}")
}

/// Removes a network unless somebody is still on it.
pub(super) fn remove(engine: &Engine, network: &str) {
    let _ = engine.command(&["network", "rm", network]).stdout_null().stderr_null().unchecked().run();
}

impl Hidden {
    /// Makes the network, if there is none yet, and puts the jump host on it too.
    pub fn behind(jump: &Host) -> Result<Self> {
        let hidden = Self { network: behind(&jump.name), engine: jump.engine.clone() };
        let docker = |argv: &[&str]| hidden.engine.docker(argv);
        if docker(&["network", "inspect", &hidden.network]).is_err() {
            docker(&["network", "create", &hidden.network])?;
        }
        let networks = docker(&["inspect", "--format={{json .NetworkSettings.Networks}}", &jump.container])?;
        if !networks.contains(&format!("\"{}\"", hidden.network)) {
            docker(&["network", "connect", &hidden.network, &jump.container])?;
        }
        Ok(hidden)
    }

    /// For `docker create`.
    pub fn option(&self) -> String {
        format!("--network={}", self.network)
    }

    /// Has the host take nothing from this machine, which has an address on every network of the lab. It may still ask this
    /// machine's registry, which answers from another address.
    pub fn hide(&self, host: &Host) -> Result<()> {
        let gateway = "--format={{range .IPAM.Config}}{{.Gateway}}{{end}}";
        let gateway = self.engine.docker(&["network", "inspect", gateway, &self.network])?;
        host.on_wire(&["iptables", "-w", "-I", "INPUT", "1", "-s", &gateway, "-j", "DROP"]).map(drop)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        remove(&self.engine, &self.network);
    }
}
