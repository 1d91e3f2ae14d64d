//! Asking the published ports, as a user would.

use std::{
    fmt,
    net::TcpStream,
    time::{Duration, Instant},
};

use xr_model::{Container, Fault, Port, Result, Service, Version};
use xr_preflight::{
    http,
    listening::{self, Deaf},
};
use xr_session::Cancel;
use xr_stack::Manifest;

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
    /// Whether the manifest asks it.
    asked: bool,
    /// Whether a database listens there: one that counts bad handshakes is not spoken to in another protocol.
    database: bool,
}

/// Why a port does not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    /// Nobody listens there.
    Deaf(Deaf),
    /// It answers otherwise.
    Answer(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deaf(Deaf::Refused) => f.write_str("the connection is refused"),
            Self::Deaf(Deaf::HungUp) => {
                f.write_str("the connection is closed at once: nobody listens in the container")
            }
            Self::Answer(said) => f.write_str(said),
        }
    }
}

/// Asks every published TCP port that the compose file names; of a service for which it names none, those that the engine
/// chose for its running `containers`. A port that speaks HTTP must not answer that its backend is gone (502, 503, 504); the
/// manifest may ask for more. Of several ports of a service for which the manifest asks nothing, one at least must be listened
/// on. Gives up once `cancel` is raised.
///
/// # Errors
/// Names service, port and the last answer.
pub(crate) async fn check(
    cancel: &Cancel,
    services: &[Service],
    containers: &[Container],
    manifest: &Manifest,
    version: &Version,
) -> Result<()> {
    let asks = services.iter().map(|service| {
        // One without an address of its own holds none, whatever it asks for.
        let holds = |one: &&Container| one.service == service.name && one.is_running() && !one.addresses.is_empty();
        let running = containers.iter().filter(holds);
        let ports = published(&service.ports, running.flat_map(|container| &container.ports));
        let (cancel, questions) = (cancel.clone(), questions(service, ports, manifest, version));
        tokio::task::spawn_blocking(move || until_answered(&questions, &|| cancel.is_raised()))
    });
    for answer in futures_util::future::join_all(asks).await {
        answer.map_err(Fault::at("a smoke check died"))??;
    }
    Ok(())
}

/// The TCP ports at which a service is to be reached: those that the compose file names; where it names none, those that its
/// containers hold, each once, whatever the number of addresses that it has.
fn published<'a>(named: &[Port], held: impl Iterator<Item = &'a Port>) -> Vec<Port> {
    let mut ports: Vec<Port> =
        named.iter().filter(|port| port.until.is_none() && port.protocol == "tcp").cloned().collect();
    if ports.is_empty() {
        for port in held.filter(|port| port.published != 0 && port.protocol == "tcp") {
            if !ports.iter().any(|one| one.published == port.published) {
                ports.push(port.clone());
            }
        }
    }
    ports
}

fn questions(service: &Service, ports: Vec<Port>, manifest: &Manifest, version: &Version) -> Vec<Question> {
    let mut questions = Vec::new();
    for port in ports {
        let asked: Vec<_> = manifest.smoke.iter().filter(|smoke| smoke.service == service.name).collect();
        let question = |path: &str, status, contains| Question {
            service: service.name.clone(),
            port: port.clone(),
            path: path.to_owned(),
            status,
            contains,
            asked: !asked.is_empty(),
            database: service.is_database(),
        };
        if asked.is_empty() {
            questions.push(question("/", None, None));
        }
        questions.extend(asked.iter().map(|smoke| {
            let contains = smoke.contains.as_ref().map(|text| text.replace("{version}", version.as_str()));
            question(&smoke.path, smoke.status, contains)
        }));
    }
    questions
}

fn until_answered(questions: &[Question], stop: &dyn Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answers: Vec<(&Question, std::result::Result<(), Wrong>)> =
            questions.iter().map(|question| (question, ask(question))).collect();
        let Some((question, wrong)) = first_wrong(&answers) else { return Ok(()) };
        if begun.elapsed() >= PATIENCE || stop() {
            return Err(Fault::new(format!(
                "port {} of {} does not answer as it should: {wrong}",
                question.port.published, question.service
            ))
            .hint(format!(
                "curl -ik http://{}{}; where that is its usual answer, [[smoke]] in xr.toml says which one is right",
                listening::address(&question.port),
                question.path
            )));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The first answer that is wrong. A port that is published and not used, for TLS that was not set up, is none as long as
/// another one of the service is listened on.
fn first_wrong<'a>(answers: &'a [(&Question, std::result::Result<(), Wrong>)]) -> Option<(&'a Question, &'a Wrong)> {
    let one_listens = answers.iter().any(|(_, answer)| !matches!(answer, Err(Wrong::Deaf(_))));
    answers.iter().find_map(|(question, answer)| match answer {
        Err(Wrong::Deaf(_)) if one_listens && !question.asked => None,
        Err(wrong) => Some((*question, wrong)),
        Ok(()) => None,
    })
}

fn ask(question: &Question) -> std::result::Result<(), Wrong> {
    let address = listening::address(&question.port);
    TcpStream::connect_timeout(&address, ONE_TRY).map_err(|_| Wrong::Deaf(Deaf::Refused))?;
    if question.database && !question.asked {
        return listening::ask(address, ONE_TRY).map_err(Wrong::Deaf);
    }
    // TLS first only where the port is known for it; a plain answer "400" from a TLS port tells to try again.
    let mut last = String::new();
    let schemes = if matches!(question.port.target, 443 | 8443) { ["https", "http"] } else { ["http", "https"] };
    for scheme in schemes {
        match http::get(&format!("{scheme}://{address}{}", question.path)) {
            Ok((400, _)) if scheme == "http" && question.status != Some(400) => "400".clone_into(&mut last),
            Ok((status, body)) => return judge(question, status, &body).map_err(Wrong::Answer),
            Err(error) => last = error,
        }
    }
    if question.status.is_some() || question.contains.is_some() {
        return Err(Wrong::Answer(last));
    }
    // It does not speak HTTP: a database, a queue.
    listening::ask(address, ONE_TRY).map_err(Wrong::Deaf)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_engine_chose_is_asked_and_one_that_has_two_addresses_only_once() {
        let port = |host_ip: &str, published, until, protocol: &str| Port {
            host_ip: host_ip.into(),
            published,
            until,
            target: 80,
            protocol: protocol.into(),
        };
        let range = [port("", 8000, Some(8010), "tcp")];
        let named = [port("127.0.0.1", 9000, None, "tcp"), port("192.0.2.1", 9000, None, "tcp"), range[0].clone()];
        let held = [("0.0.0.0", 8003, "tcp"), ("::", 8003, "tcp"), ("", 5353, "udp"), ("", 0, "tcp")];
        let held = held.map(|(ip, number, protocol)| port(ip, number, None, protocol));
        let numbers =
            |named: &[Port]| -> Vec<u16> { published(named, held.iter()).iter().map(|port| port.published).collect() };
        assert_eq!(numbers(&range), [8003]);
        assert_eq!(numbers(&[]), [8003]);
        // What the engine chose excuses none that the compose file names.
        assert_eq!(numbers(&named), [9000, 9000]);
    }

    #[test]
    fn of_several_ports_one_must_be_listened_on_and_those_that_are_asked_for_all() {
        let question = |published, asked| Question {
            service: "web".into(),
            port: Port { host_ip: String::new(), published, until: None, target: 80, protocol: "tcp".into() },
            path: "/".into(),
            status: None,
            contains: None,
            asked,
            database: false,
        };
        let (http, tls, asked) = (question(80, false), question(443, false), question(9000, true));
        let deaf = || Err(Wrong::Deaf(Deaf::HungUp));
        let wrong = |answers: &[(&Question, std::result::Result<(), Wrong>)]| {
            first_wrong(answers).map(|(question, _)| question.port.published)
        };
        assert_eq!(wrong(&[(&http, Ok(())), (&tls, deaf())]), None);
        assert_eq!(wrong(&[(&http, deaf()), (&tls, deaf())]), Some(80));
        assert_eq!(wrong(&[(&http, deaf())]), Some(80));
        assert_eq!(wrong(&[(&http, Ok(())), (&asked, deaf())]), Some(9000));
        let gone = Err(Wrong::Answer("HTTP status 502".into()));
        assert_eq!(wrong(&[(&http, Ok(())), (&tls, gone)]), Some(443));
    }
}
