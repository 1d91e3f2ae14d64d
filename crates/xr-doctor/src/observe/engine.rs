//! What the Docker engine, the machine and the registries say.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future;
use tokio::task::spawn_blocking;
use xr_host::{Engine, EngineInfo};
use xr_image_puller::{Credentials, Retry, Sources, resolve_all};
use xr_model::{Container, Digest, Health, ImageRef, LocalImage, Port};
use xr_preflight::{Check, listening, machine, ports::TakenPort};
use xr_session::STACK_DISK;
use xr_stack::{Manifest, Site};

use super::{Ground, Scope, no_engine};
use crate::facts::{Facts, History, Seen, Trouble};

/// What was said.
pub(super) struct Answers {
    pub info: Seen<EngineInfo>,
    pub containers: Seen<Vec<Container>>,
    pub strangers: Vec<String>,
    pub networks: Seen<BTreeMap<String, String>>,
    pub last_words: BTreeMap<String, Vec<String>>,
    pub images: Seen<Vec<LocalImage>>,
    pub machine: Vec<Check>,
    pub registry: Option<Vec<(ImageRef, Seen<Digest>)>>,
}

/// How long a registry may think, or limit the rate, where the admin is as patient: a diagnosis is worth no longer wait.
const REGISTRY: Duration = Duration::from_secs(15);
/// How long a port may take to accept.
const PATIENCE: Duration = Duration::from_millis(300);
/// Lines of a container's log.
const LINES: usize = 3;

pub(super) async fn read(ground: &Ground<'_>, history: &History, manifest: &Manifest, scope: Scope) -> Answers {
    let engine = match Engine::connect() {
        Ok(engine) => engine,
        Err(fault) => {
            let machine = machine_of(manifest, Vec::new(), ground.disks.clone()).await;
            let (containers, images) = (Err(no_engine()), Err(no_engine()));
            return Answers {
                info: Err(fault.into()),
                containers,
                strangers: Vec::new(),
                networks: Err(no_engine()),
                last_words: BTreeMap::new(),
                images,
                machine,
                registry: None,
            };
        }
    };
    let about = async {
        let info = engine.info().await.map_err(Trouble::from);
        let data: Vec<PathBuf> = info.iter().map(|info| PathBuf::from(&info.root)).collect();
        (info, machine_of(manifest, data, ground.disks.clone()).await)
    };
    let containers = async {
        let (containers, folders) =
            tokio::join!(engine.containers(&ground.project), engine.project_folders(&ground.project));
        let containers = containers.map_err(Trouble::from);
        let mut containers = containers.map(|all| xr_session::without_foreign(all, ground.root, &ground.folder));
        let elsewhere = elsewhere(ground, folders.unwrap_or_default());
        if let (Ok(containers), Ok(None)) = (&mut containers, &history.current) {
            containers.retain(|c| !elsewhere.contains_key(&c.id));
        }
        let mut strangers: Vec<String> = elsewhere.into_values().collect();
        strangers.sort();
        strangers.dedup();
        let last_words = last_words(&engine, containers.as_deref().unwrap_or_default()).await;
        (containers, strangers, last_words)
    };
    let registry = registry(&engine, ground, history, scope);
    let images = engine.all_images();
    let current = history.current.as_ref().ok().and_then(Option::as_ref);
    let networks =
        xr_compose::networks::as_made(&engine, current.into_iter().flat_map(|current| current.networks_made.keys()));
    let ((info, mut machine), (containers, strangers, last_words), images, networks, registry) =
        tokio::join!(about, containers, images, networks, registry);
    // It answered: whatever its group says, this user may.
    machine.retain(|check| check.name != "docker socket");
    let (images, networks) = (images.map_err(Trouble::from), networks.map_err(Trouble::from));
    Answers { info, containers, strangers, networks, last_words, images, machine, registry }
}

/// Those containers that were made from another folder than this stack's, present and past.
fn elsewhere(ground: &Ground<'_>, folders: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let here = real(&ground.folder);
    let past = |folder: &str| {
        Path::new(folder).starts_with(ground.root) && !xr_session::is_foreign(folder, ground.root, &ground.folder)
    };
    folders.into_iter().filter(|(_, folder)| real(Path::new(folder)) != here && !past(folder)).collect()
}

/// Looks at the machine: at the disk of the engine's `data`, and at those that xr writes to, the stack's first.
async fn machine_of(manifest: &Manifest, data: Vec<PathBuf>, disks: Vec<PathBuf>) -> Vec<Check> {
    let requirements = machine::Requirements {
        memory: manifest.requirements.memory_mib << 20,
        disk: manifest.requirements.disk_mib << 20,
        architectures: Vec::new(),
    };
    let examine = move || {
        let large: Vec<&Path> = data.iter().chain(disks.first()).map(PathBuf::as_path).collect();
        let mut checks = machine::examine(&requirements, &large);
        // No image and no volume comes to the others: they need what a run needs.
        checks.extend(disks.iter().skip(1).map(|folder| machine::disk(folder, STACK_DISK)));
        checks
    };
    spawn_blocking(examine).await.unwrap_or_default()
}

/// What containers in trouble said last: the output of their own check, else the end of their log.
async fn last_words(engine: &Engine, containers: &[Container]) -> BTreeMap<String, Vec<String>> {
    let troubled = containers.iter().filter(|c| !c.is_running() || c.health == Health::Unhealthy);
    let asked = troubled.map(async |container| {
        let mut words = if container.health == Health::Unhealthy {
            engine.health_words(&container.id, LINES).await
        } else {
            Vec::new()
        };
        if words.is_empty() {
            words = engine.log_tail(&container.id, LINES).await;
        }
        (container.id.clone(), words)
    });
    future::join_all(asked).await.into_iter().collect()
}

async fn registry(
    engine: &Engine,
    ground: &Ground<'_>,
    history: &History,
    scope: Scope,
) -> Option<Vec<(ImageRef, Seen<Digest>)>> {
    let current = history.current.as_ref().ok()?.as_ref().filter(|_| scope.online)?;
    let asked = current.images.iter().filter(|image| image.digest.is_some() && image.reference.digest().is_none());
    let asked: Vec<ImageRef> = asked.map(|image| image.reference.clone()).collect();
    let site = Site::read(&ground.home.site()).unwrap_or_default();
    let sources =
        Sources::new(&site.mirrors, Credentials::load()).or_else(|_| Sources::new(&[], Credentials::load())).ok()?;
    let retry = xr_session::retry(&site);
    let retry = Retry { patience: retry.patience.min(REGISTRY), ..retry };
    let answers = resolve_all(engine.client(), &asked, &sources, &retry).await;
    Some(
        answers.into_iter().map(|(image, answer)| (image, answer.map_err(|error| error.into_fault().into()))).collect(),
    )
}

/// Ports to ask: those that services want and no container of theirs holds, and those that running containers hold.
pub(super) struct Ports {
    wanted: Vec<Port>,
    held: Vec<Held>,
}

/// A port that a running container holds.
struct Held {
    container: String,
    /// The container's own addresses.
    addresses: Vec<IpAddr>,
    port: Port,
}

pub(super) fn wanted_ports(facts: &Facts) -> Ports {
    if facts.containers.is_err() {
        return Ports { wanted: Vec::new(), held: Vec::new() };
    }
    let running = || facts.all_containers().iter().filter(|c| c.is_running());
    let of = |c: &Container, port: &Port| Held {
        container: c.name.clone(),
        addresses: c.addresses.clone(),
        port: port.clone(),
    };
    let held: Vec<Held> = running().flat_map(|c| c.ports.iter().map(move |port| of(c, port))).collect();
    let same = |a: &Port, b: &Port| a.published == b.published && a.protocol == b.protocol;
    let is_held = |port: &Port| held.iter().any(|held| same(&held.port, port));
    let wanted = facts
        .expected()
        .iter()
        .flat_map(|s| &s.ports)
        .filter(|port| port.published != 0 && port.until.is_none() && !is_held(port))
        .cloned()
        .collect();
    Ports { wanted, held }
}

pub(super) fn ports(ports: Ports) -> (Vec<TakenPort>, Vec<(String, String)>) {
    let held = ports.held.into_iter().filter(|held| held.port.protocol == "tcp" && held.port.published != 0);
    // At once: who waits to be asked lets each take its moment.
    let asking: Vec<_> = held
        .map(|Held { container, addresses, port }| {
            let address = listening::address(&port);
            let ask = move || listening::is_listened_on(&port, &addresses, PATIENCE);
            (container, address, std::thread::spawn(ask))
        })
        .collect();
    // A thread that died has told nothing against its port.
    let asked: Vec<(String, SocketAddr, bool)> = asking
        .into_iter()
        .map(|(container, address, asks)| (container, address, asks.join().unwrap_or(true)))
        .collect();
    // One that is published and not used is none as long as another one of the container is listened on.
    let one_listens = |name: &str| asked.iter().any(|(container, _, listens)| container == name && *listens);
    let silent = asked.iter().filter(|(container, _, listens)| !listens && !one_listens(container));
    let silent = silent.map(|(container, address, _)| (container.clone(), address.to_string()));
    let silent = silent.collect();
    (xr_preflight::ports::taken(&ports.wanted), silent)
}
