//! `docker` and its plugin `docker-compose`, as xr finds them beside a simulated engine: hands its arguments to the engine's socket
//! and prints what comes back.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::ExitCode,
};

use serde_json::{Value, json};

fn main() -> ExitCode {
    match call() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the simulated engine does not answer: {error}");
            ExitCode::from(125)
        }
    }
}

fn call() -> std::io::Result<u8> {
    let argv: Vec<String> = std::env::args().skip(1).collect();
    let mut stdin = String::new();
    std::io::stdin().read_to_string(&mut stdin)?;
    let body = json!({"argv": argv, "stdin": stdin, "cwd": std::env::current_dir()?}).to_string();
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let mut stream = UnixStream::connect(host.trim_start_matches("unix://"))?;
    write!(
        stream,
        "POST /sim/docker HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let end: Value = serde_json::from_str(body)?;
    let text = |key: &str| end[key].as_str().unwrap_or_default().to_owned();
    std::io::stdout().write_all(text("stdout").as_bytes())?;
    std::io::stderr().write_all(text("stderr").as_bytes())?;
    Ok(end["code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(125))
}
