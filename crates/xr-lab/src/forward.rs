//! Ports of the machine that lead into a lab: its network is its own, and whoever sits at the machine wants to see a page.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Lab, Layout};

/// The lab's address on the wire that leads out of it.
const ADDRESS: &str = "10.0.2.100";

impl Lab {
    /// Has a port of the machine's 127.0.0.1 lead to this port of the lab: the same one, or the next that is free. The
    /// answer is the machine's port; it stays open as long as the lab runs.
    ///
    /// # Errors
    /// When none of the next twenty ports is free.
    pub fn forward(&self, port: u16) -> Result<u16> {
        let open = ask(self.layout(), &json!({"execute": "list_hostfwd"}))?;
        let mut open = open["entries"].as_array().into_iter().flatten();
        if let Some(known) = open.find(|entry| entry["guest_port"] == port) {
            return known["host_port"].as_u64().and_then(|port| port.try_into().ok()).context("no port");
        }
        let own = |host: &u16| {
            let arguments = json!({
                "proto": "tcp", "host_addr": "127.0.0.1", "host_port": host, "guest_addr": ADDRESS, "guest_port": port
            });
            ask(self.layout(), &json!({"execute": "add_hostfwd", "arguments": arguments})).is_ok()
        };
        let free = (port..port + 20).find(own);
        free.with_context(|| format!("all ports of this machine from {port} to {} are taken", port + 19))
    }
}

/// One request to slirp4netns, see its manual page.
fn ask(layout: &Layout, request: &Value) -> Result<Value> {
    let path = layout.join("run/slirp.sock");
    let mut stream = UnixStream::connect(&path).with_context(|| format!("cannot reach {}", path.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.to_string().as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    if let Some(error) = answer.get("error") {
        bail!("{error}");
    }
    Ok(answer["return"].clone())
}
