//! Whether somebody listens behind a published port. Docker's proxy accepts every connection to it, and hangs up at once when
//! nobody in the container does.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use xr_model::Port;

/// How long the proxy takes to hang up at the most; who listens says nothing until it is asked, or greets.
const HANG_UP: Duration = Duration::from_millis(300);

/// Why nobody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaf {
    /// The connection was refused, or not made in time.
    Refused,
    /// It was taken, and closed at once.
    HungUp,
}

/// The address of this host at which a port is published.
pub fn address(port: &Port) -> SocketAddr {
    let ip = match port.host_ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Ok(ip) if !ip.is_unspecified() => ip,
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, port.published)
}

/// Whether somebody listens behind a published port. A container with one address on the engine's networks tells it at once
/// there; where it has several, of which the port leads to one, or it is not reached from here, [`ask`] does.
pub fn is_listened_on(port: &Port, addresses: &[IpAddr], patience: Duration) -> bool {
    let own = |ip: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(ip, port.target), HANG_UP).is_ok();
    matches!(addresses, [only] if own(*only)) || ask(address(port), patience).is_ok()
}

/// Connects, and waits a moment for whether it is hung up on.
pub fn ask(address: SocketAddr, patience: Duration) -> Result<(), Deaf> {
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(|_| Deaf::Refused)?;
    // Without a time limit a silent listener would be waited for for ever.
    stream.set_read_timeout(Some(HANG_UP)).map_err(|_| Deaf::Refused)?;
    match stream.read(&mut [0]) {
        Ok(0) => Err(Deaf::HungUp),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        Err(_) => Err(Deaf::HungUp),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener};

    use super::*;

    #[test]
    fn who_waits_or_greets_listens_and_who_hangs_up_or_refuses_does_not() {
        let at = |answer: fn(TcpStream)| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || listener.accept().map(|(stream, _)| answer(stream)));
            ask(address, Duration::from_secs(2))
        };
        assert_eq!(at(drop), Err(Deaf::HungUp));
        assert_eq!(at(|mut stream| stream.write_all(b"220 hello").unwrap_or_default()), Ok(()));
        assert_eq!(at(|mut stream| drop(stream.read(&mut [0]))), Ok(()));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask(free, Duration::from_secs(2)), Err(Deaf::Refused));
    }

    #[test]
    fn a_container_is_asked_at_its_only_address_and_else_where_it_is_published() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().port();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listens = |published, target, addresses: &[IpAddr]| {
            let port = Port { host_ip: String::new(), published, until: None, target, protocol: "tcp".into() };
            is_listened_on(&port, addresses, Duration::from_secs(2))
        };
        let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(listens(nobody, target, &[own]));
        assert!(!listens(nobody, target, &[own, own]) && !listens(nobody, target, &[]));
        assert!(!listens(nobody, nobody, &[own]));
        // As it is published: who listens there waits to be asked.
        assert!(listens(target, nobody, &[own]));
    }

    #[test]
    fn a_port_is_asked_where_it_is_published() {
        let port =
            |ip: &str| Port { host_ip: ip.into(), published: 80, until: None, target: 80, protocol: "tcp".into() };
        for (ip, asked) in
            [("", "127.0.0.1:80"), ("0.0.0.0", "127.0.0.1:80"), ("::", "[::1]:80"), ("192.0.2.1", "192.0.2.1:80")]
        {
            assert_eq!(address(&port(ip)).to_string(), asked);
        }
    }
}
