//! Are the ports a stack wants to publish free, and if not, who has them?

mod proc_net;

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

use serde::Serialize;
use xr_model::Port;

use proc_net::Protocol;

/// Why a port cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// Somebody listens there.
    InUse,
    /// No interface of this machine has the address.
    NoSuchAddress,
}

/// A port that cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakenPort {
    /// What was asked for.
    pub port: Port,
    /// Why not.
    pub conflict: Conflict,
    /// `nginx (pid 812)`, where this user may see it.
    pub by: Option<String>,
}

/// Those of `ports` that cannot be bound now. Binds and lets go again; no connection is made.
///
/// A stack that is up holds its own ports: the caller knows which those are (`docker-proxy` is the holder's name then).
pub fn taken(ports: &[Port]) -> Vec<TakenPort> {
    ports.iter().filter_map(examine).collect()
}

fn examine(port: &Port) -> Option<TakenPort> {
    let protocol = if port.protocol.eq_ignore_ascii_case("udp") { Protocol::Udp } else { Protocol::Tcp };
    let found = addresses(&port.host_ip).into_iter().find_map(|ip| {
        let address = SocketAddr::new(ip, port.published);
        let error = match protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop).err()?,
            Protocol::Udp => UdpSocket::bind(address).map(drop).err()?,
        };
        match error.kind() {
            ErrorKind::AddrInUse => Some(Conflict::InUse),
            // A machine without IPv6 cannot bind `::`; that takes nothing away from IPv4.
            ErrorKind::AddrNotAvailable if !ip.is_unspecified() => Some(Conflict::NoSuchAddress),
            // Ports below 1024 are the engine's to bind; what listens there is still to be seen.
            ErrorKind::PermissionDenied => {
                proc_net::holder(protocol, ip, port.published).is_some().then_some(Conflict::InUse)
            }
            _ => None,
        }
        .map(|conflict| (conflict, ip))
    });
    let (conflict, ip) = found?;
    let by = match conflict {
        Conflict::InUse => proc_net::holder(protocol, ip, port.published).flatten(),
        Conflict::NoSuchAddress => None,
    };
    Some(TakenPort { port: port.clone(), conflict, by })
}

/// The addresses Docker binds for compose's `host_ip`: both wildcards when it names none.
fn addresses(host_ip: &str) -> Vec<IpAddr> {
    match host_ip.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(ip) => vec![ip],
        Err(_) => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: &str, published: u16, protocol: &str) -> Port {
        Port { host_ip: host_ip.to_owned(), published, until: None, target: 80, protocol: protocol.to_owned() }
    }

    #[test]
    fn a_listener_is_found_on_the_wildcard_and_on_its_address_and_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        for host_ip in ["", "0.0.0.0", "127.0.0.1"] {
            let taken = taken(&[port(host_ip, number, "tcp")]);
            assert_eq!(taken[0].conflict, Conflict::InUse, "{host_ip}");
            assert!(taken[0].by.as_ref().unwrap().contains(&format!("pid {}", std::process::id())), "{taken:?}");
        }
    }

    #[test]
    fn a_listener_on_ipv6_alone_is_found() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let number = listener.local_addr().unwrap().port();
        assert_eq!(taken(&[port("", number, "tcp")]).len(), 1);
        assert_eq!(taken(&[port("127.0.0.4", number, "tcp")]).len(), 0);
    }

    #[test]
    fn udp_and_tcp_do_not_take_each_other_s_ports() {
        let socket = UdpSocket::bind("127.0.0.9:0").unwrap();
        let number = socket.local_addr().unwrap().port();
        assert_eq!(taken(&[port("127.0.0.9", number, "udp")]).len(), 1);
        assert_eq!(taken(&[port("127.0.0.9", number, "tcp")]).len(), 0);
    }

    #[test]
    fn a_listener_on_another_address_is_no_conflict() {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        assert_eq!(taken(&[port("127.0.0.3", number, "tcp")]), Vec::new());
    }

    #[test]
    fn an_address_of_another_machine_is_said_to_be_so() {
        let taken = taken(&[port("203.0.113.7", 8083, "tcp")]);
        assert_eq!(taken[0].conflict, Conflict::NoSuchAddress);
    }
}
