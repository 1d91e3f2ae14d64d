//! A proxy before a registry that misbehaves on demand.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::loopback::{Loopback, Orders};

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The connection ends after this many bytes of the body.
    Cut(usize),
    /// Nothing more comes after this many bytes of the body, and the connection stays.
    Stall(usize),
    /// Every 8 KiB of the body take this long.
    Slow(Duration),
    /// As [`Trouble::Cut`], and from then on nobody answers.
    Die(usize),
    /// Nobody answers, and the connection stays.
    Hang,
    /// The body ends after this many bytes, and its length says so.
    Shorten(usize),
    /// A body of the right length with other content; a manifest stays one, with other digests in it.
    Garble,
    /// An answer of the proxy's own: status and body.
    Answer(&'static str, &'static str),
    /// Refused for its rate (RFC 6585) until this long after the first such request; told in `Retry-After`.
    Limit(Duration),
    /// Refused without this header.
    Demand(&'static str),
}

/// What befalls requests whose first line contains `on`.
struct Rule {
    on: String,
    /// So many such requests go well first.
    after: usize,
    /// So many are then befallen.
    times: usize,
    trouble: Trouble,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    log: Vec<String>,
    dead: bool,
    limited: Option<Instant>,
}

/// Listens on loopback, where engines ask without TLS, until the process ends.
pub struct Proxy {
    server: Loopback<State>,
}

impl Proxy {
    /// A proxy before the registry on this port of loopback; it behaves.
    ///
    /// # Errors
    /// When no port is left.
    pub fn before(registry: u16) -> std::io::Result<Self> {
        let server = Loopback::start(move |client, orders| serve(client, registry, orders))?;
        Ok(Self { server })
    }

    /// Its name in image references.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// From now on, only this trouble, so many times; the log begins anew.
    pub fn trouble(&self, on: &str, times: usize, trouble: Trouble) {
        self.tell(vec![Rule { on: on.to_owned(), after: 0, times, trouble }]);
    }

    /// As [`Proxy::trouble`], for ever once so many requests went well.
    pub fn trouble_after(&self, on: &str, after: usize, trouble: Trouble) {
        self.tell(vec![Rule { on: on.to_owned(), after, times: usize::MAX, trouble }]);
    }

    /// This trouble too, for ever, where no earlier one befalls a request.
    pub fn also(&self, on: &str, trouble: Trouble) {
        self.server.orders.now().what.rules.push(Rule { on: on.to_owned(), after: 0, times: usize::MAX, trouble });
    }

    /// No more trouble; the log begins anew.
    pub fn behave(&self) {
        self.tell(Vec::new());
    }

    fn tell(&self, rules: Vec<Rule>) {
        self.server.orders.tell(State { rules, ..State::default() });
    }

    /// How often a request whose first line contains `part` has come.
    pub fn asked(&self, part: &str) -> usize {
        self.server.orders.now().what.log.iter().filter(|line| line.contains(part)).count()
    }

    /// The first lines of the requests so far.
    pub fn log(&self) -> Vec<String> {
        self.server.orders.now().what.log.clone()
    }
}

impl State {
    /// What befalls a request with this head.
    fn judge(&mut self, line: &str, head: &str) -> Option<Trouble> {
        self.log.push(line.to_owned());
        let limited = &mut self.limited;
        self.rules.iter_mut().find_map(|rule| rule.befalls(line, head, limited).then(|| rule.trouble.clone()))
    }
}

impl Rule {
    fn befalls(&mut self, line: &str, head: &str, limited: &mut Option<Instant>) -> bool {
        if !line.contains(&self.on) || self.times == 0 {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        let befalls = match &self.trouble {
            Trouble::Demand(header) => !head.contains(header),
            Trouble::Limit(length) => limited.get_or_insert_with(Instant::now).elapsed() < *length,
            _ => true,
        };
        self.times -= usize::from(befalls);
        befalls
    }
}

fn serve(mut client: TcpStream, registry: u16, orders: &Orders<State>) -> Option<()> {
    if orders.now().what.dead {
        return None;
    }
    let head = read_head(&mut client)?;
    let line = head.lines().next()?.to_owned();
    let (trouble, told) = {
        let mut told = orders.now();
        (told.what.judge(&line, &head), told.number)
    };
    match &trouble {
        Some(Trouble::Answer(status, body)) => return own(&mut client, status, "", body),
        Some(Trouble::Limit(length)) => {
            let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#;
            let header = format!("Retry-After: {}\r\n", length.as_secs());
            return own(&mut client, "429 Too Many Requests", &header, body);
        }
        Some(Trouble::Demand(_)) => {
            let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            return own(&mut client, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"lab\"\r\n", body);
        }
        Some(Trouble::Hang) => {
            orders.hold(told);
            return None;
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", registry)).ok()?;
    let mut ask = line;
    for header in head.lines().skip(1).filter(|header| !is(header, "connection") && !header.is_empty()) {
        ask.push_str("\r\n");
        ask.push_str(header);
    }
    upstream.write_all(format!("{ask}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut head = read_head(&mut upstream)?;
    if let Some(Trouble::Shorten(length)) = trouble {
        let kept: Vec<&str> =
            head.lines().filter(|header| !is(header, "content-length") && !header.is_empty()).collect();
        head = format!("{}\r\nContent-Length: {length}\r\n\r\n", kept.join("\r\n"));
    }
    client.write_all(head.as_bytes()).ok()?;
    match (pass(&mut client, &mut upstream, trouble.as_ref())?, trouble) {
        (true, Some(Trouble::Stall(_))) => orders.hold(told),
        (true, Some(Trouble::Die(_))) => orders.now().what.dead = true,
        _ => {}
    }
    client.shutdown(Shutdown::Both).ok()
}

/// Passes the body on, as far as it goes; the answer is whether there would have been more.
fn pass(client: &mut TcpStream, upstream: &mut TcpStream, trouble: Option<&Trouble>) -> Option<bool> {
    let end = match trouble {
        Some(Trouble::Cut(end) | Trouble::Stall(end) | Trouble::Die(end) | Trouble::Shorten(end)) => *end,
        _ => usize::MAX,
    };
    let mut passed = 0;
    let mut piece = [0; 8192];
    loop {
        let count = match upstream.read(&mut piece).ok()? {
            0 => return Some(false),
            count => count.min(end - passed),
        };
        if matches!(trouble, Some(Trouble::Garble)) {
            piece[..count].iter_mut().for_each(|byte| *byte = if *byte == b'9' { b'8' } else { *byte });
        }
        if let Some(Trouble::Slow(pause)) = trouble {
            std::thread::sleep(*pause);
        }
        passed += count;
        client.write_all(&piece[..count]).ok()?;
        if passed == end {
            return Some(true);
        }
    }
}

fn is(header: &str, name: &str) -> bool {
    header.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
}

fn own(client: &mut TcpStream, status: &str, header: &str, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).ok()
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        // The engine tries TLS first, and would wait ten seconds for an answer to it.
        if head.is_empty() && byte[0] == 0x16 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
