//! The smallest HTTP client that shows what a user sees.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }

    /// A text of the JSON body.
    pub fn text(&self, key: &str) -> Result<String> {
        Ok(self.json()?[key].as_str().with_context(|| format!("no {key} in {self:?}"))?.to_owned())
    }
}

/// One request on a connection of its own.
pub fn request(host: &str, port: u16, method: &str, path: &str) -> Result<Answer> {
    let address = (host, port).to_socket_addrs()?.next().context("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("{address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {text:?}"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.with_context(|| format!("no HTTP: {text:?}"))?, body: body.to_owned() })
}
