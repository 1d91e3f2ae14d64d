//! What can befall a host, and that it passes.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xr_lab::{Host, HostKind, HostSpec, Lab, wait_for};

use crate::support::Client;

#[test]
fn a_cut_host_is_away_and_comes_back_under_its_address() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let host = lab.host(HostKind::Fresh, "cut")?;
    host.cut()?;
    ensure!(knock(&host).is_err(), "it answers without cables");
    host.mend()?;
    wait_for("the host", Duration::from_secs(10), || knock(&host).is_ok())?;

    host.kill()?;
    ensure!(knock(&host).is_err(), "it answers without power");
    let address = host.address().to_owned();
    host.revive()?;
    assert_eq!((host.address(), knock(&host).is_ok()), (address.as_str(), true));
    Ok(())
}

#[test]
fn a_host_that_drops_packets_leaves_connections_half_open() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let host = lab.host(HostKind::Fresh, "black-hole")?;
    let client = Client::of(&[&host])?;
    let at = format!("root@{}", host.address());
    let session = client.ssh(&[&at, "sleep 4; echo still here"]).stdout_capture().start()?;
    wait_for("the session", Duration::from_secs(10), || {
        host.must("pgrep -x sleep -a").is_ok_and(|all| all.contains(" 4"))
    })?;
    host.drop_packets()?;
    let said = knock(&host).err().map(|error| error.kind());
    assert_eq!(said, Some(std::io::ErrorKind::TimedOut));
    assert!(session.try_wait()?.is_none(), "the session does not know");
    host.pass_packets()?;
    assert_eq!(session.wait()?.stdout, b"still here\n");
    knock(&host)?;
    Ok(())
}

#[test]
fn a_slow_line_delays_and_bounds_what_passes() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let host = lab.host(HostKind::Fresh, "slow")?;
    let client = Client::of(&[&host])?;
    let at = format!("root@{}", host.address());
    let time = |command: &str| -> Result<Duration> {
        let begun = Instant::now();
        client.ssh(&[&at, command]).stdout_null().run()?;
        Ok(begun.elapsed())
    };
    let quick = time("true")?;
    {
        let _line = host.slow(Duration::from_millis(100), 100_000)?;
        let (slow, slower) = (time("true")?, time("head -c 200000 /dev/zero")?);
        assert!(slow > quick + Duration::from_millis(1000), "{quick:?} {slow:?}: five round trips and more");
        assert!(slower > slow + Duration::from_millis(1500), "{slow:?} {slower:?}");
    }
    // On a slow line it never is; a busy machine may take its time once.
    wait_for("a quick answer", Duration::from_secs(30), || {
        time("true").is_ok_and(|took| took < quick + Duration::from_millis(1000))
    })
}

#[test]
fn a_clock_that_is_ahead_is_ahead_over_ssh() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let host = lab.host(HostKind::Fresh, "clock")?;
    let client = Client::of(&[&host])?;
    let at = format!("root@{}", host.address());
    let now = || -> Result<i64> { Ok(client.ssh(&[&at, "date +%s"]).read()?.parse()?) };
    let truth = || -> Result<i64> { Ok(host.must("date +%s")?.parse()?) };
    for ahead in [3600, -7200] {
        host.set_clock(ahead)?;
        let off = now()? - truth()?;
        assert!((off - i64::from(ahead)).abs() < 60, "set {ahead} ahead, it is {off}");
    }
    host.right_clock()?;
    assert!((now()? - truth()?).abs() < 60);
    Ok(())
}

#[test]
fn a_full_disk_takes_no_image_and_a_stopped_engine_none_either() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let spec = HostSpec { disk_mib: Some(64), ..HostSpec::of(HostKind::Docker) };
    let host = lab.host_of(&spec, "full")?;
    // by the registry's own name: of a mirror that fails Docker tells nothing
    let image = format!("{}/library/busybox:latest", lab.record()?.registry_for_hosts);
    let pull = || host.exec(&["docker", "pull", "-q", &image]);
    host.fill_disk()?;
    let said = pull()?;
    ensure!(!said.success() && said.stderr.contains("no space left on device"), "{}", said.stderr);
    host.free_disk()?;
    ensure!(pull()?.success(), "there is room again");

    host.stop_engine()?;
    ensure!(!pull()?.success() && knock(&host).is_ok(), "SSH goes on without the engine");
    host.start_engine()?;
    ensure!(host.exec(&["docker", "run", "--rm", &image, "true"])?.success());
    Ok(())
}

#[test]
fn a_hidden_host_is_reached_through_its_jump_host_alone() -> Result<()> {
    let lab = Lab::attach_or_up()?;
    let jump = lab.host(HostKind::Fresh, "jump")?;
    let spec = HostSpec { behind: Some(&jump), ..HostSpec::of(HostKind::Docker) };
    let hidden = lab.host_of(&spec, "hidden")?;
    let said = knock(&hidden).err().map(|error| error.kind());
    assert_eq!(said, Some(std::io::ErrorKind::TimedOut));

    let client = Client::of(&[&jump, &hidden])?;
    let (through, at) = (format!("root@{}", jump.address()), format!("root@{}", hidden.address()));
    assert_eq!(client.ssh(&["-J", &through, &at, "hostname"]).read()?, "hidden");
    hidden.must("docker pull -q busybox:latest")?;
    Ok(())
}

fn knock(host: &Host) -> std::io::Result<TcpStream> {
    let address = std::net::SocketAddr::new(host.address().parse().map_err(std::io::Error::other)?, 22);
    TcpStream::connect_timeout(&address, Duration::from_secs(5))
}
