//! Who listens: `/proc/net/{tcp,tcp6,udp,udp6}` (see proc_net(5)) gives the socket's inode, `/proc/*/fd` its process.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    ip: IpAddr,
    port: u16,
    inode: u64,
}

/// The process that stands in the way of binding `ip:port`: `None` when nobody listens, `Some(None)` when the process
/// cannot be seen (another user's, or in another namespace).
pub(super) fn holder(protocol: Protocol, ip: IpAddr, port: u16) -> Option<Option<String>> {
    let (files, state) = match protocol {
        Protocol::Tcp => (["/proc/net/tcp", "/proc/net/tcp6"], "0A"),
        Protocol::Udp => (["/proc/net/udp", "/proc/net/udp6"], "07"),
    };
    let listener = files
        .into_iter()
        .flat_map(|file| parse(&fs::read_to_string(file).unwrap_or_default(), state))
        .find(|one| one.port == port && overlaps(one.ip, ip))?;
    Some(process_of(listener.inode))
}

/// Two sockets cannot share a port when one address is the other, or is a wildcard that covers it.
fn overlaps(a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (a.to_canonical(), b.to_canonical());
    let covers = |wide: IpAddr, other: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    a == b || covers(a, b) || covers(b, a)
}

fn parse(text: &str, state: &str) -> Vec<Listener> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if *fields.get(3)? != state {
                return None;
            }
            let (ip, port) = fields.get(1)?.split_once(':')?;
            Some(Listener {
                ip: address(ip)?,
                port: u16::from_str_radix(port, 16).ok()?,
                inode: fields.get(9)?.parse().ok()?,
            })
        })
        .collect()
}

/// Addresses stand there as 32-bit words in the machine's byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let words: Vec<u8> = (0..hex.len() / 8)
        .map(|i| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok())
        .collect::<Option<Vec<u32>>>()?
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    match words.len() {
        4 => <[u8; 4]>::try_from(words).ok().map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(words).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn process_of(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        fs::read_dir(entry.path().join("fd"))
            .ok()?
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
            .then(|| {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                format!("{} (pid {pid})", name.trim())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:1F91 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
garbage
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 99 1
";

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_and_connections_passed_over() {
        let found: Vec<(String, u16, u64)> = parse(TCP, "0A")
            .into_iter()
            .chain(parse(TCP6, "0A"))
            .map(|l| (l.ip.to_string(), l.port, l.inode))
            .collect();
        assert_eq!(
            found,
            [("127.0.0.1".to_owned(), 8080, 4711), ("0.0.0.0".to_owned(), 22, 4712), ("::1".to_owned(), 80, 99)]
        );
    }

    #[test]
    fn wildcards_cover_what_they_cover() {
        for (a, b, expected) in [
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("::", "127.0.0.1", true),
            ("::", "0.0.0.0", true),
            ("::1", "0.0.0.0", false),
            ("127.0.0.1", "127.0.0.2", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(overlaps(a.parse().unwrap(), b.parse().unwrap()), expected, "{a} {b}");
        }
    }
}
