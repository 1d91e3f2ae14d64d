//! The bridge and addresses of one lab. They are taken while it is up, so that several can be.

use std::path::Path;

use anyhow::{Context, Result};
use duct::cmd;

use crate::Layout;
use crate::shell::run;

/// Number `n` means bridge `xrlab<n>`, `10.213.<n>.0/24` on it, and `10.<214+n>.0.0/16` for networks that stacks make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot(u8);

impl Slot {
    const COUNT: u8 = 16;

    /// The slot that this lab holds, or else one that nobody does.
    pub(super) fn of(layout: &Layout) -> Result<Self> {
        if let Ok(text) = std::fs::read_to_string(layout.join("slot")) {
            return text.trim().parse().map(Self).context("cannot understand the lab's slot");
        }
        (0..Self::COUNT).map(Self).find(|slot| !slot.bridge_exists()).context("all bridges for labs are taken")
    }

    pub(super) fn bridge(self) -> String {
        format!("xrlab{}", self.0)
    }

    pub(super) fn gateway(self) -> String {
        format!("10.213.{}.1", self.0)
    }

    pub(super) fn networks(self) -> String {
        format!("base=10.{}.0.0/16,size=24", 214 + u16::from(self.0))
    }

    /// Makes the bridge and holds the slot. Holding it already is fine.
    pub(super) fn take(self, layout: &Layout) -> Result<()> {
        let bridge = self.bridge();
        std::fs::write(layout.join("slot"), self.0.to_string())?;
        if !self.bridge_exists() {
            run("ip link add", cmd!("ip", "link", "add", &bridge, "type", "bridge"))?;
            run("ip addr add", cmd!("ip", "addr", "add", format!("{}/24", self.gateway()), "dev", &bridge))?;
        }
        run("ip link set", cmd!("ip", "link", "set", &bridge, "up")).map(drop)
    }

    /// Removes the bridge and the firewall's rules about it. A slot that this lab does not hold is left alone.
    pub(super) fn release(self, layout: &Layout) -> Result<()> {
        let held = layout.join("slot");
        if !held.exists() {
            return Ok(());
        }
        for bridge in self.bridges()? {
            run("ip link del", cmd!("ip", "link", "del", bridge))?;
        }
        for table in ["filter", "nat"] {
            let rules = run("iptables -S", cmd!("iptables", "-w", "-t", table, "-S")).unwrap_or_default();
            for rule in rules.lines().filter(|rule| self.concerns(rule)) {
                let words = rule.split_whitespace().skip(1);
                let argv = ["-w", "-t", table, "-D"].into_iter().chain(words);
                run("iptables -D", cmd("iptables", argv))?;
            }
        }
        std::fs::remove_file(held)?;
        Ok(())
    }

    /// Its own bridge and those of networks that a killed engine left, known by their addresses.
    fn bridges(self) -> Result<Vec<String>> {
        let addresses = run("ip addr", cmd!("ip", "-o", "-4", "addr", "show"))?;
        let ours = |words: &[&str]| words.get(3).is_some_and(|address| self.holds(address));
        Ok(addresses
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<&str>>())
            .filter(|words| ours(words))
            .filter_map(|words| words.get(1).map(|name| (*name).to_owned()))
            .filter(|name| *name == self.bridge() || name.starts_with("br-"))
            .collect())
    }

    fn concerns(self, rule: &str) -> bool {
        rule.starts_with("-A ") && rule.split_whitespace().any(|word| word == self.bridge() || self.holds(word))
    }

    fn holds(self, address: &str) -> bool {
        address.starts_with(&format!("10.213.{}.", self.0))
            || address.starts_with(&format!("10.{}.", 214 + u16::from(self.0)))
    }

    fn bridge_exists(self) -> bool {
        Path::new("/sys/class/net").join(self.bridge()).exists()
    }
}
