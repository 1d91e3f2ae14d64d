//! A proxy before a registry that misbehaves on demand.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What to do to requests whose path contains `on`, so many times.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub on: &'static str,
    pub times: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// The connection ends after this many bytes of the body.
    Cut(usize),
    /// An answer of the proxy's own.
    Answer(&'static str, &'static str),
    /// A body of the right length with other content.
    Garble,
    /// No answer for a while, then none at all.
    Hang,
    /// Refused without this header.
    Demand(&'static str),
}

#[derive(Default)]
struct State {
    trouble: Vec<Trouble>,
    log: Vec<String>,
}

/// Listens until the test process ends.
pub struct Proxy {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub fn before(registry: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || serve(client, registry, &state));
            }
        });
        Self { port, state }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on, only this trouble; the log begins anew.
    pub fn trouble(&self, on: &'static str, times: usize, kind: Kind) {
        *self.state.lock().unwrap() = State { trouble: vec![Trouble { on, times, kind }], log: Vec::new() };
    }

    pub fn behave(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// How often a path that contains `part` was asked for.
    pub fn asked(&self, part: &str) -> usize {
        self.state.lock().unwrap().log.iter().filter(|line| line.contains(part)).count()
    }

    /// The request lines so far.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }
}

fn serve(mut client: TcpStream, registry: u16, state: &Mutex<State>) -> Option<()> {
    let head = read_head(&mut client)?;
    let line = head.lines().next()?.to_owned();
    let kind = {
        let mut state = state.lock().unwrap();
        state.log.push(line.clone());
        let trouble = state.trouble.iter_mut().find(|trouble| line.contains(trouble.on) && trouble.times > 0);
        trouble.and_then(|trouble| {
            if let Kind::Demand(header) = trouble.kind
                && head.contains(header)
            {
                return None;
            }
            trouble.times -= 1;
            Some(trouble.kind.clone())
        })
    };
    match &kind {
        Some(Kind::Answer(status, body)) => return own(&mut client, status, "", body),
        Some(Kind::Demand(_)) => {
            let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            return own(&mut client, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"lab\"\r\n", body);
        }
        Some(Kind::Hang) => {
            std::thread::sleep(Duration::from_secs(4));
            return None;
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", registry)).ok()?;
    let mut ask = line;
    for header in
        head.lines().skip(1).filter(|header| !header.to_lowercase().starts_with("connection:") && !header.is_empty())
    {
        ask.push_str("\r\n");
        ask.push_str(header);
    }
    upstream.write_all(format!("{ask}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let head = read_head(&mut upstream)?;
    client.write_all(head.as_bytes()).ok()?;
    let mut passed = 0;
    let mut piece = [0; 8192];
    loop {
        let count = upstream.read(&mut piece).ok()?;
        if count == 0 {
            return client.shutdown(Shutdown::Both).ok();
        }
        if matches!(kind, Some(Kind::Garble)) {
            // A manifest stays one, with other digests in it.
            piece[..count].iter_mut().for_each(|byte| *byte = if *byte == b'9' { b'8' } else { *byte });
        }
        if let Some(Kind::Cut(after)) = kind
            && passed + count > after
        {
            client.write_all(&piece[..after - passed]).ok()?;
            return client.shutdown(Shutdown::Both).ok();
        }
        passed += count;
        client.write_all(&piece[..count]).ok()?;
    }
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
