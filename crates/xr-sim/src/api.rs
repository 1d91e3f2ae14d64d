//! The calls of the [Docker Engine API](https://docs.docker.com/reference/api/engine/version/v1.41/) that xr makes.

use std::{collections::HashMap, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    engine::{Engine, Refused},
    server::Shared,
};

/// How a call ends.
pub(crate) enum Answer {
    /// With words.
    Say(Response<Full<Bytes>>),
    /// Without.
    HangUp,
}

/// What a call gives when it succeeds.
enum Given {
    Nothing,
    Json(Value),
    Made(Value),
    Text(Vec<u8>),
}

pub(crate) async fn handle(shared: &Arc<Shared>, mut request: Request<Incoming>) -> Answer {
    let method = request.method().clone();
    let path = unversioned(request.uri().path());
    let query = query(request.uri().query().unwrap_or_default());
    if let Some(id) = path.strip_prefix("/exec/").and_then(|rest| rest.strip_suffix("/start")) {
        let code = shared.engine().exec_code(id);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                say(upgraded, code.unwrap_or(1)).await;
            }
        });
        let switching = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("Content-Type", "application/vnd.docker.raw-stream")
            .header("Connection", "Upgrade")
            .header("Upgrade", "tcp");
        return Answer::Say(switching.body(Full::default()).unwrap_or_default());
    }
    let bytes = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Answer::HangUp,
    };
    if path == "/sim/docker" {
        return Answer::Say(respond(crate::cli::call(shared, &bytes).await.map(Given::Text), ""));
    }
    let given = {
        let mut engine = shared.engine();
        engine.go_on();
        let changes = !matches!(method, Method::GET | Method::HEAD) && !path.ends_with("/exec");
        let last = if changes { engine.change() } else { None };
        let given = match last {
            Some(crash_point) if !crash_point.after => Ok(Given::Nothing),
            _ => route(&mut engine, &method, &path, &query, &bytes),
        };
        if let Some(crash_point) = last {
            if let Some(group) = Pid::from_raw(crash_point.group) {
                // One that has just ended is as good as killed.
                let _ = kill_process_group(group, Signal::KILL);
            }
            drop(engine);
            shared.publish();
            return Answer::HangUp;
        }
        given
    };
    shared.publish();
    Answer::Say(respond(given, &path))
}

fn route(
    engine: &mut Engine,
    method: &Method,
    path: &str,
    query: &HashMap<String, String>,
    bytes: &[u8],
) -> Result<Given, Refused> {
    let body = &serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let is = |name: &str| query.get(name).is_some_and(|value| matches!(value.as_str(), "1" | "true"));
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let done = |done: Result<(), Refused>| done.map(|()| Given::Nothing);
    match (method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", ["_ping"]) => Ok(Given::Text(b"OK".to_vec())),
        ("GET", ["info"]) => Ok(Given::Json(json!({
            "ServerVersion": "20.10.24", "DockerRootDir": "/", "Architecture": "x86_64", "OSType": "linux",
            "RegistryConfig": {"Mirrors": [], "InsecureRegistryCIDRs": [], "IndexConfigs": {}},
        }))),
        ("GET", ["version"]) => Ok(Given::Json(json!({"Version": "20.10.24", "ApiVersion": "1.41"}))),
        ("GET", ["containers", "json"]) => Ok(Given::Json(engine.list(is("all"), &labels(text("filters"))))),
        ("POST", ["containers", "create"]) => {
            engine.create(text("name"), body.clone()).map(|id| Given::Made(json!({"Id": id, "Warnings": []})))
        }
        ("GET", ["containers", id, "json"]) => engine.inspect(id).map(Given::Json),
        ("POST", ["containers", id, "start"]) => done(engine.start(id)),
        ("POST", ["containers", id, "stop"]) => done(engine.stop(id)),
        ("POST", ["containers", id, "kill"]) => done(engine.kill(id)),
        ("POST", ["containers", id, "rename"]) => done(engine.rename(id, text("name"))),
        ("POST", ["containers", id, "update"]) => {
            engine.update(id, body).map(|()| Given::Json(json!({"Warnings": []})))
        }
        ("DELETE", ["containers", id]) => done(engine.remove(id, is("force"), is("v"))),
        ("GET", ["containers", id, "logs"]) => engine.find(id).map(|_| Given::Text(Vec::new())),
        ("PUT", ["containers", id, "archive"]) => done(engine.put(id, text("path"), bytes)),
        ("HEAD", ["containers", id, "archive"]) => match text("path").ends_with("/sqlite3") {
            // No image of the product has it.
            true => Err((404, "no such file".to_owned())),
            false => engine.find(id).map(|_| Given::Text(Vec::new())),
        },
        ("POST", ["containers", id, "exec"]) => {
            let argv: Vec<&str> = body["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            engine.exec(id, &argv).map(|id| Given::Made(json!({"Id": id})))
        }
        ("GET", ["exec", id, "json"]) => {
            engine.exec_code(id).map(|code| Given::Json(json!({"ID": id, "Running": false, "ExitCode": code})))
        }
        ("GET", ["networks"]) => Ok(Given::Json(engine.networks(&labels(text("filters"))))),
        ("GET", ["networks", name]) => engine.network(name).cloned().map(Given::Json),
        ("POST", ["networks", "create"]) => {
            engine.create_network(body).map(|id| Given::Made(json!({"Id": id, "Warning": ""})))
        }
        ("DELETE", ["networks", name]) => done(engine.remove_network(name)),
        ("POST", ["networks", name, "connect"]) => done(engine.connect(name, body)),
        ("POST", ["networks", name, "disconnect"]) => done(engine.disconnect(name, body)),
        ("GET", ["volumes"]) => {
            Ok(Given::Json(json!({"Volumes": engine.volumes(&labels(text("filters"))), "Warnings": []})))
        }
        ("GET", ["volumes", name]) => engine.volume(name).cloned().map(Given::Json),
        ("DELETE", ["volumes", name]) => done(engine.remove_volume(name)),
        ("GET", ["images", "json"]) => Ok(Given::Json(engine.images.list())),
        ("POST", ["images", "create"]) => {
            let line = b"{\"status\":\"Status: Downloaded newer image\"}\r\n".to_vec();
            engine.images.pull(text("fromImage"), text("tag")).map(|()| Given::Text(line))
        }
        ("GET", ["images", name @ .., "json"]) => engine.images.inspect(&name.join("/")).map(Given::Json),
        ("POST", ["images", name @ .., "tag"]) => {
            engine.images.tag(&name.join("/"), text("repo"), text("tag")).map(|()| Given::Made(json!({})))
        }
        ("DELETE", ["images", name @ ..]) => engine.remove_image(&name.join("/")).map(|()| Given::Json(json!([]))),
        ("GET", ["distribution", name @ .., "json"]) => {
            let digest = engine.images.in_registry(&name.join("/"))?.digest();
            Ok(Given::Json(json!({
                "Descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": 1},
                "Platforms": [{"architecture": "amd64", "os": "linux"}],
            })))
        }
        _ => Err((501, format!("the simulated engine does not know {method} {path}"))),
    }
}

fn respond(given: Result<Given, Refused>, path: &str) -> Response<Full<Bytes>> {
    let (status, bytes) = match given {
        Ok(Given::Nothing) => (204, Vec::new()),
        Ok(Given::Json(value)) => (200, value.to_string().into_bytes()),
        Ok(Given::Made(value)) => (201, value.to_string().into_bytes()),
        Ok(Given::Text(bytes)) => (200, bytes),
        Err((304, _)) => (304, Vec::new()),
        Err((status, words)) => (status, json!({"message": words}).to_string().into_bytes()),
    };
    let mut response = Response::builder().status(status).header("Api-Version", "1.41");
    response = match path {
        "/_ping" => response.header("Content-Type", "text/plain"),
        _ => response.header("Content-Type", "application/json"),
    };
    // `docker cp`'s description of a path, which is asked for by HEAD.
    response = response.header(
        "X-Docker-Container-Path-Stat",
        "eyJuYW1lIjoieCIsInNpemUiOjEsIm1vZGUiOjQ5MywibXRpbWUiOiIyMDI0LTAxLTAxVDAwOjAwOjAwWiIsImxpbmtUYXJnZXQiOiIifQ==",
    );
    response.body(Full::new(Bytes::from(bytes))).unwrap_or_default()
}

/// Says what a program that was run in a container says, which is as much as a dump of a database must end with.
async fn say(upgraded: Upgraded, code: i64) {
    const SAID: &[u8] = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n";
    let mut stream = TokioIo::new(upgraded);
    if code == 0 {
        // A frame: stream 1, three bytes of nothing, the length.
        let mut frame = vec![1, 0, 0, 0];
        frame.extend(u32::try_from(SAID.len()).unwrap_or(0).to_be_bytes());
        frame.extend(SAID);
        let _ = stream.write_all(&frame).await;
    }
    let _ = stream.shutdown().await;
}

/// `/v1.41/containers/json` → `/containers/json`
fn unversioned(path: &str) -> String {
    let rest = path.strip_prefix("/v").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let path = rest.and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
    decoded(path)
}

fn query(text: &str) -> HashMap<String, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(&value.replace('+', " ")))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `{"label":["a=b"]}`, or in the older spelling `{"label":{"a=b":true}}`.
fn labels(filters: &str) -> Vec<(String, String)> {
    let parsed: Value = serde_json::from_str(filters).unwrap_or_default();
    let texts: Vec<String> = match &parsed["label"] {
        Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        Value::Object(all) => all.keys().cloned().collect(),
        _ => Vec::new(),
    };
    texts.iter().filter_map(|text| text.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
