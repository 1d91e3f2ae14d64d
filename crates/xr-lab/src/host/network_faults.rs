//! What befalls a host's network. Its address stays the same throughout.

use std::time::Duration;

use anyhow::{Context, Result};
use duct::cmd;

use super::{Host, SlowLine};
use crate::shell::run;

/// Nothing in and nothing out, and nobody is told. What stays on the host goes on.
const BLACK_HOLE: [[&str; 7]; 2] =
    [["INPUT", "!", "-i", "lo", "-j", "DROP", "-w"], ["OUTPUT", "!", "-o", "lo", "-j", "DROP", "-w"]];

impl Host {
    /// Pulls its cables: connections wait, and this machine says "no route to host" once it has forgotten where the host was.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cut(&self) -> Result<()> {
        self.cables("down")
    }

    /// Plugs them in again. Connections that did not give up meanwhile go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn mend(&self) -> Result<()> {
        self.cables("up")
    }

    /// From now on it neither hears nor answers: connections stay half-open, new ones wait for ever.
    ///
    /// # Errors
    /// When it does not run.
    pub fn drop_packets(&self) -> Result<()> {
        self.black_hole("-I")
    }

    /// The opposite of [`Host::drop_packets`].
    ///
    /// # Errors
    /// When its packets were not dropped.
    pub fn pass_packets(&self) -> Result<()> {
        self.black_hole("-D")
    }

    /// Puts a slow line before its sshd, for connections from this machine that begin from now on, until the host boots anew.
    ///
    /// # Errors
    /// When it does not run.
    pub fn slow(&self, delay: Duration, bytes_per_second: u32) -> Result<SlowLine> {
        SlowLine::before(self, delay, bytes_per_second)
    }

    /// Runs a program of this machine in the host's network.
    pub(super) fn on_wire(&self, argv: &[&str]) -> Result<String> {
        let pid = self.pid()?;
        let argv = ["-n", "-t", &pid].into_iter().chain(argv.iter().copied());
        run(&format!("on the wire of {}", self.name), cmd("nsenter", argv))
    }

    fn black_hole(&self, how: &str) -> Result<()> {
        for rule in BLACK_HOLE {
            let argv: Vec<&str> = ["iptables", how].into_iter().chain(rule).collect();
            self.on_wire(&argv)?;
        }
        Ok(())
    }

    /// Each interface `eth0@if7` has its other end, number 7, on this machine.
    fn cables(&self, state: &str) -> Result<()> {
        let links = self.on_wire(&["ip", "-o", "link", "show", "type", "veth"])?;
        let own =
            links.lines().filter_map(|line| line.split_whitespace().nth(1)).filter(|name| name.starts_with("eth"));
        for interface in own {
            let number = interface.trim_end_matches(':').rsplit_once("@if").context("an interface without a cable")?.1;
            run("ip link set", cmd!("ip", "link", "set", "dev", interface_of_number(number)?, state))?;
        }
        Ok(())
    }
}

/// As the lab's own network has it: `/sys` tells of the machine's.
fn interface_of_number(number: &str) -> Result<String> {
    let links = run("ip link show", cmd!("ip", "-o", "link", "show"))?;
    let mut words = links.lines().map(str::split_whitespace);
    let found = words.find_map(|mut words| if words.next()? == format!("{number}:") { words.next() } else { None });
    let name = found.with_context(|| format!("no interface has number {number}"))?.trim_end_matches(':');
    Ok(name.split('@').next().unwrap_or_default().to_owned())
}
