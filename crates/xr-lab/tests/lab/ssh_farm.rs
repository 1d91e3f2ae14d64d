//! The farm of SSH hosts: what tests of many workers take for granted about it.

use std::path::Path;

use anyhow::Result;
use duct::cmd;
use xr_lab::{Kex, Layout, MaxStartups, SshFarm};

#[test]
fn a_hundred_hosts_are_a_hundred_addresses() -> Result<()> {
    let farm = SshFarm::start(&Layout::from_env()?, 100, MaxStartups::Raised)?;
    farm.stand_in("docker", "#!/bin/sh\nset -- $SSH_CONNECTION\necho docker of $3\n")?;
    let said = on_each(&farm.config(Kex::Curve25519)?, &farm, 32, "docker")?;
    let mut expected: Vec<String> = farm.addresses().iter().map(|address| format!("docker of {address}")).collect();
    expected.sort();
    assert_eq!(said, expected);
    assert_eq!((farm.logins(), farm.refused()), (100, 0));
    Ok(())
}

#[test]
fn one_sshd_with_its_defaults_drops_some_of_a_crowd() -> Result<()> {
    let farm = SshFarm::behind_jump(&Layout::from_env()?, 100)?;
    let said = on_each(&farm.config(Kex::Default)?, &farm, 100, "echo here")?;
    assert!(said.len() < 100 && farm.refused() > 0, "{} came through, {} refused", said.len(), farm.refused());
    assert_eq!((farm.logins(), farm.logins() + farm.refused()), (said.len(), 100));
    assert_eq!(farm.jump_logins(), said.len());
    Ok(())
}

#[test]
fn nothing_of_a_farm_is_left() -> Result<()> {
    let layout = Layout::from_env()?;
    let farm = SshFarm::start(&layout, 20, MaxStartups::Default)?;
    let config = farm.config(Kex::Curve25519)?;
    let control = farm.path().join("control");
    let master = ["-oControlMaster=yes", "-oControlPersist=yes", "-S"];
    cmd!("ssh", "-F", &config, master[0], master[1], master[2], &control, "farm-20", "true").run()?;
    let address = format!("127.0.0.21:{}", farm.port());
    assert!(std::net::TcpStream::connect(&address).is_ok());
    assert!(control.exists());
    let folder = farm.path().to_owned();
    drop(farm);
    assert!(std::net::TcpStream::connect(&address).is_err() && !folder.exists());
    Ok(())
}

/// What the hosts that were reached say, sorted.
fn on_each(config: &Path, farm: &SshFarm, at_once: usize, command: &str) -> Result<Vec<String>> {
    let hosts = farm.destinations().join("\n");
    // xargs itself would stop at the first 255
    let ssh = format!("ssh -F {} {{}} '{command}' || true", config.display());
    let said = cmd!("xargs", format!("-P{at_once}"), "-I{}", "sh", "-c", ssh)
        .stdin_bytes(hosts)
        .stdout_capture()
        .stderr_null()
        .unchecked()
        .run()?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}
