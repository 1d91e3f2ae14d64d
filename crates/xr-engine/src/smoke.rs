//! Asking the published ports, as a user would.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use xr_model::{Fault, Port, Result, Service, Version};
use xr_stack::Manifest;

use crate::Cancel;

/// How long the ports may take to answer well.
const PATIENCE: Duration = Duration::from_secs(30);
const ONE_TRY: Duration = Duration::from_secs(5);

/// One question.
#[derive(Clone, Debug)]
struct Question {
    service: String,
    port: Port,
    path: String,
    status: Option<u16>,
    contains: Option<String>,
}

/// Asks every published TCP port that the compose file names, not one that the engine takes out of a range. A port that speaks
/// HTTP must not answer that its backend is gone (502, 503, 504); the manifest may ask for more. Gives up once `cancel` is raised.
///
/// # Errors
/// Names service, port and the last answer.
pub(crate) async fn check(cancel: &Cancel, services: &[Service], manifest: &Manifest, version: &Version) -> Result<()> {
    let mut questions = Vec::new();
    for service in services {
        for port in service.ports.iter().filter(|port| port.protocol == "tcp" && port.until.is_none()) {
            let asked: Vec<_> = manifest.smoke.iter().filter(|smoke| smoke.service == service.name).collect();
            let question = |path: &str, status, contains| Question {
                service: service.name.clone(),
                port: port.clone(),
                path: path.to_owned(),
                status,
                contains,
            };
            if asked.is_empty() {
                questions.push(question("/", None, None));
            }
            questions.extend(asked.into_iter().map(|smoke| {
                let contains = smoke.contains.as_ref().map(|text| text.replace("{version}", version.as_str()));
                question(&smoke.path, smoke.status, contains)
            }));
        }
    }
    let asks = questions.into_iter().map(|question| {
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || until_answered(&question, &|| cancel.is_raised()))
    });
    for answer in futures_util::future::join_all(asks).await {
        answer.map_err(Fault::at("a smoke check died"))??;
    }
    Ok(())
}

fn until_answered(question: &Question, stop: &dyn Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let wrong = match ask(question) {
            Ok(()) => return Ok(()),
            Err(wrong) => wrong,
        };
        if begun.elapsed() >= PATIENCE || stop() {
            return Err(Fault::new(format!(
                "port {} of {} does not answer as it should: {wrong}",
                question.port.published, question.service
            ))
            .hint(format!("curl -ik http://127.0.0.1:{}{}", question.port.published, question.path)));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn ask(question: &Question) -> std::result::Result<(), String> {
    let ip = match question.port.host_ip.as_str() {
        "" | "0.0.0.0" | "::" => "127.0.0.1",
        ip => ip,
    };
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let address: SocketAddr =
        format!("{host}:{}", question.port.published).parse().map_err(|e| format!("{ip}: {e}"))?;
    TcpStream::connect_timeout(&address, ONE_TRY).map(drop).map_err(|error| error.to_string())?;
    // TLS first only where the port is known for it; a plain answer "400" from a TLS port tells to try again.
    let mut last = String::new();
    let schemes = if matches!(question.port.target, 443 | 8443) { ["https", "http"] } else { ["http", "https"] };
    for scheme in schemes {
        match get(&format!("{scheme}://{host}:{}{}", question.port.published, question.path)) {
            Ok((400, _)) if scheme == "http" && question.status != Some(400) => "400".clone_into(&mut last),
            Ok((status, body)) => return judge(question, status, &body),
            Err(error) => last = error,
        }
    }
    let wants_http = question.status.is_some() || question.contains.is_some();
    if wants_http { Err(last) } else { Ok(()) } // it accepts connections and does not speak HTTP: a database, a queue
}

/// Whether a published port of this host speaks TLS, as far as it answers.
pub(crate) fn speaks_tls(published: u16, target: u16) -> bool {
    let schemes = if matches!(target, 443 | 8443) { ["https", "http"] } else { ["http", "https"] };
    let answers = |scheme: &&str| match get(&format!("{scheme}://127.0.0.1:{published}/")) {
        Ok((status, _)) => !(status == 400 && *scheme == "http"),
        Err(_) => false,
    };
    schemes.iter().find(|scheme| answers(scheme)).is_some_and(|scheme| *scheme == "https")
}

fn judge(question: &Question, status: u16, body: &str) -> std::result::Result<(), String> {
    let right = question.status.map_or(!matches!(status, 502..=504), |wanted| status == wanted);
    if !right {
        return Err(format!("HTTP status {status}"));
    }
    match &question.contains {
        Some(text) if !body.contains(text.as_str()) => {
            Err(format!("the answer of {} does not contain `{text}`", question.path))
        }
        _ => Ok(()),
    }
}

fn get(url: &str) -> std::result::Result<(u16, String), String> {
    // The certificate is the stack's own and usually self-signed; the check is of this host's port, not of its name.
    let tls = ureq::tls::TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ONE_TRY))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(1 << 20).read_to_string().unwrap_or_default();
    Ok((status, body))
}
