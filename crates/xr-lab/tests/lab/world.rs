//! The lab itself: what other tests take for granted about it.

use std::time::Duration;

use anyhow::{Result, ensure};
use xr_lab::{HostKind, Image, Lab, wait_for};

use crate::support::Client;

#[test]
fn the_tags_own_tree_holds_the_version_before() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let remote = lab.remote(&["v1.0.0", "v1.1.0"])?;
    assert_eq!(remote.in_work(&["show", "v1.1.0:VERSION"])?, "v1.0.0");
    assert_eq!(remote.in_work(&["show", "main:VERSION"])?, "v1.1.0");
    let template = remote.in_work(&["show", "v1.1.0:docker/.env.example"])?;
    assert!(template.contains("SESSION_KEY=change-me") && !template.contains("RESULT_CACHE_MB"));

    let stack = tempfile::tempdir()?;
    let clone = remote.clone_to(&stack.path().join("orbit"))?;
    assert_eq!(std::fs::read_to_string(clone.join("VERSION"))?, "v1.1.0\n");
    remote.tag("v1.3.0")?;
    assert_eq!(remote.in_work(&["show", "main:VERSION"])?, "v1.1.0", "the bot has not come yet");
    Ok(())
}

#[test]
fn a_prefix_of_ones_own_can_be_broken() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    lab.publish_as("v1.0.0", "broken")?;
    let name = Image::Worker.name("broken", "v1.0.0");
    let before = lab.registry().digest(&name)?;
    assert_eq!(before, lab.registry().digest(&Image::Worker.name("acme", "v1.0.0"))?);

    let after = lab.registry().repush(lab.engine(), &name, "other content")?;
    assert_ne!(before, Some(after));
    lab.registry().delete(&name)?;
    assert_eq!(lab.registry().digest(&name)?, None);
    assert_eq!(lab.registry().digest(&Image::Worker.name("acme", "v1.0.0"))?, before);
    Ok(())
}

#[test]
fn a_second_registry_can_die_and_come_back() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let hub = lab.second_registry("dying-hub")?;
    lab.engine().docker(&["pull", "-q", "busybox:latest"])?;
    hub.push(lab.engine(), "busybox:latest", "library/busybox:latest")?;
    hub.stop()?;
    assert!(hub.digest("library/busybox:latest").is_err());
    hub.start()?;
    assert!(hub.digest("library/busybox:latest")?.is_some());
    hub.stop()
}

#[test]
fn a_prepared_host_pulls_from_the_lab() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let host = lab.host(HostKind::Docker, "prepared")?;
    let mut said = None;
    let pulled = wait_for("a pull from the lab's registry", Duration::from_secs(90), || {
        said = host.must("docker pull -q acme/orbit-worker:v1.1.0").err();
        said.is_none()
    });
    pulled.or_else(|late| said.map_or(Ok(()), |said| Err(said.context(late))))?;
    let task = host.must("docker run --rm acme/orbit-worker:v1.1.0 scan")?;
    assert!(task.contains("\"version\": \"v1.1.0\""), "{task}");
    host.must("docker compose version")?;

    let client = Client::of(&[&host])?;
    let who = client.ssh(&[&format!("admin@{}", host.address()), "sudo id -u"]).read()?;
    assert_eq!(who, "0");
    Ok(())
}

#[test]
fn a_fresh_host_has_no_docker_until_apt_brings_it() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    for (kind, name) in [(HostKind::Fresh, "fresh"), (HostKind::Bookworm, "fresh-bookworm")] {
        let host = lab.host(kind, name)?;
        ensure!(!host.sh("command -v docker git curl")?.success(), "{name} is not fresh");
        host.must(
            "export DEBIAN_FRONTEND=noninteractive; apt-get -q update \
             && apt-get -q install -y --no-install-recommends docker.io iptables",
        )?;
        host.must("command -v docker || apt-get -q install -y docker-cli")?;
        host.must("service docker status || service docker start")?;
        wait_for("its engine", Duration::from_secs(30), || {
            host.exec(&["docker", "version"]).is_ok_and(|output| output.success())
        })?;
        host.must("docker run --rm busybox:latest true")?;
    }
    Ok(())
}
