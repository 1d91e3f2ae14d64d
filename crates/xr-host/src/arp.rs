//! Finding a new container's network address without a second's delay.
//!
//! An engine publishes a container's port a moment before the container's interface is up. A connection that arrives in
//! that moment is lost where the kernel still remembers who had the address before, or makes it ask for the link address in
//! vain and again only after `retrans_time_ms` ([arp(7)](https://man7.org/linux/man-pages/man7/arp.7.html)); either way
//! everybody waits for a second. While a port is switched over, xr has the kernel forget the neighbours on the stack's own
//! bridges and ask again sooner.

use std::{fs::OpenOptions, io::Write, path::PathBuf};

use bollard::query_parameters::InspectNetworkOptions;
use futures_util::future::join_all;

use crate::{Cmd, engine::Engine};

/// Between two questions during a switch.
const SOON: &str = "100";

/// Asks sooner on some bridges until it is dropped.
#[derive(Debug, Default)]
pub struct QuickArp {
    before: Vec<(PathBuf, String, String)>,
}

impl Engine {
    /// Has the kernel find neighbours sooner on the bridges of these networks. Needs root on the engine's own host; where
    /// that is not so, or a network has no bridge here, nothing happens.
    pub async fn quick_arp(&self, networks: &[String]) -> QuickArp {
        let mut quick = QuickArp::default();
        for name in networks {
            let Ok(network) = self.docker.inspect_network(name, None::<InspectNetworkOptions>).await else { continue };
            let named = network.options.and_then(|mut options| options.remove("com.docker.network.bridge.name"));
            let by_id = || network.id.as_deref().and_then(|id| id.get(..12)).map(|id| format!("br-{id}"));
            let Some(bridge) = named.or_else(by_id) else { continue };
            let path = PathBuf::from(format!("/proc/sys/net/ipv4/neigh/{bridge}/retrans_time_ms"));
            let Ok(before) = std::fs::read_to_string(&path) else { continue };
            if put(&path, SOON) {
                quick.before.push((path, before.trim().to_owned(), bridge));
            }
        }
        quick
    }
}

impl QuickArp {
    /// Has the kernel forget the neighbours on these bridges; it finds those that are there again at once.
    pub async fn forget(&self) {
        let forgets = self.before.iter().map(|(_, _, bridge)| {
            let cmd = Cmd::new("ip").args(["neigh", "flush", "dev", bridge.as_str()]);
            // Without iproute2 clients wait a little longer: nothing to fail for.
            async move { drop(cmd.run_async().await) }
        });
        join_all(forgets).await;
    }
}

impl Drop for QuickArp {
    fn drop(&mut self) {
        for (path, before, _) in &self.before {
            put(path, before);
        }
    }
}

fn put(path: &PathBuf, value: &str) -> bool {
    OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes())).is_ok()
}
