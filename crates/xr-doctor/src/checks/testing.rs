//! A stack in order, for tests to break.

use xr_env_writer::EnvFile;
use xr_host::EngineInfo;
use xr_model::{
    Container, ContainerState, Digest, GENERATION_FORMAT, Generation, Health, ImageRef, Invocation, LocalImage, Mode,
    PinnedImage, Port, RunKind, Service, Version,
};
use xr_stack::{Layout, Manifest};
use xr_version_resolver::Head;

use crate::{
    facts::{Facts, History, Place, Seen, Settings, Tree},
    finding::Finding,
};

/// One way to break it.
pub(crate) type Change<'a> = &'a dyn Fn(&mut Facts);

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(crate) fn env(text: &str) -> Seen<Option<EnvFile>> {
    Ok(Some(EnvFile::parse(text.as_bytes()).unwrap()))
}

pub(crate) fn head(commit: &str) -> Head {
    Head { commit: commit.to_owned(), branch: None, shallow: false }
}

pub(crate) fn service(name: &str) -> Service {
    let port = Port { host_ip: String::new(), published: 8083, until: None, target: 80, protocol: "tcp".into() };
    Service {
        content: String::new(),
        variables: None,
        name: name.into(),
        image: ImageRef::new(format!("acme/{name}:v1.0.0")),
        spec: format!("spec-{name}"),
        depends_on: vec![],
        ports: if name == "nginx" { vec![port] } else { vec![] },
        container_name: None,
        health: None,
        owns_data: name == "server",
        networks: vec![],
        volumes: vec![],
        fixed_address: false,
        injected: false,
        stop_grace: None,
        host_network: false,
        tied_to: vec![],
        builds: false,
        runs_after_start: false,
        runs_before_stop: false,
        ends: false,
        image_source: xr_model::ImageSource::Registry,
        replicas: 1,
        restart: "always".into(),
        chosen_ports: false,
        beside: None,
    }
}

pub(crate) fn image(id: &str, tag: &str) -> LocalImage {
    LocalImage { id: id.into(), tags: vec![tag.into()], repo_digests: vec![], size: 1 }
}

fn pinned(name: &str, services: &[&str]) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::new(format!("acme/{name}:v1.0.0")),
        digest: Some(Digest(format!("sha256:digest-{name}"))),
        image_id: format!("sha256:id-{name}"),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
        versioned: true,
    }
}

fn running(service: &Service) -> Container {
    let name = &service.name;
    Container {
        id: format!("c-{name}"),
        name: format!("orbit-{name}-1"),
        service: name.clone(),
        folder: String::new(),
        number: 1,
        config_hash: format!("hash-{name}"),
        image: service.image.to_string(),
        image_id: format!("sha256:id-{name}"),
        state: ContainerState::Running,
        health: Health::Healthy,
        restarts: 0,
        restart: "always".into(),
        started_at: "2026-01-02T03:04:05Z".into(),
        networks: vec![],
        addresses: Vec::new(),
        ports: service.ports.clone(),
        mounts: Vec::new(),
    }
}

/// Two services and a worker image at v1.0.0, all as it should be.
pub(crate) fn healthy() -> Facts {
    let services = vec![service("server"), service("nginx")];
    let generation = Generation {
        ended: Vec::new(),
        unnamed_volumes: Vec::new(),
        networks_made: std::collections::BTreeMap::new(),
        networks: std::collections::BTreeMap::new(),
        config_hashes: std::collections::BTreeMap::new(),
        format: GENERATION_FORMAT,
        number: 1,
        parent: None,
        made_by: RunKind::Install,
        version: version("v1.0.0"),
        version_id: String::new(),
        commit: Some("0123456789abcdef".into()),
        branch: None,
        applied_at: "2026-01-02T03:04:05Z".into(),
        mode: Mode::Production,
        invocation: Invocation { project: "orbit".into(), ..Invocation::default() },
        services: services.clone(),
        images: vec![pinned("server", &["server"]), pinned("nginx", &["nginx"]), pinned("worker", &[])],
        changes: vec![],
        verified: vec![],
    };
    let images = ["server", "nginx", "worker"].map(|n| image(&format!("sha256:id-{n}"), &format!("acme/{n}:v1.0.0")));
    Facts {
        root: "/srv/orbit".into(),
        layout: Some(Layout {
            root: "/srv/orbit".into(),
            directory: "docker".into(),
            files: vec!["docker/docker-compose.yml".into()],
            dev_files: vec![],
            env: "docker/.env".into(),
            env_name: "docker/.env".into(),
            template: Some("docker/.env.example".into()),
            version: "VERSION".into(),
        }),
        manifest: Manifest::default(),
        stack_troubles: vec![],
        history: History {
            current: Ok(Some(generation.clone())),
            kept: Ok(vec![generation]),
            unfinished: Ok(None),
            under_way: None,
        },
        tree: Tree {
            version: Ok(version("v1.0.0")),
            head: Some(Ok(head("0123456789abcdef"))),
            tags: vec![version("v1.0.0")],
            changed: Ok(vec![]),
            strayed: vec![],
            absent: vec![],
        },
        settings: Settings {
            env: env("IMAGE_TAG=v1.0.0\n"),
            copy: None,
            template: None,
            applied_template: None,
            known_keys: [].into(),
            compose: String::new(),
        },
        places: vec![Place { path: "/srv/orbit/docker/.env".into(), mode: 0o600, wanted: 0o600, uid: 1000 }],
        read_only: vec![],
        foreign: vec![],
        owner: (1000, 1000),
        engine: Ok(EngineInfo {
            version: "26.1.5".into(),
            root: "/var/lib/docker".into(),
            architecture: "linux/amd64".into(),
        }),
        project: "orbit".into(),
        strangers: vec![],
        networks: Ok([].into()),
        containers: Ok(services.iter().map(running).collect()),
        last_words: [].into(),
        secrets: Default::default(),
        images: Ok(images.into()),
        services: Ok(None),
        hashes: Some(services.iter().map(|s| (s.name.clone(), format!("hash-{}", s.name))).collect()),
        compose_version: None,
        taken: vec![],
        silent: vec![],
        machine: vec![],
        certificate: None,
        registry: None,
        trust: Ok(None),
        now: "2026-01-02T03:05:05Z".parse::<jiff::Timestamp>().unwrap().as_second(),
    }
}

/// A stack in order, changed.
pub(crate) fn changed(change: impl Fn(&mut Facts)) -> Facts {
    let mut facts = healthy();
    change(&mut facts);
    facts
}

pub(crate) fn container(facts: &mut Facts, index: usize) -> &mut Container {
    &mut facts.containers.as_mut().unwrap()[index]
}

pub(crate) fn generation(facts: &mut Facts) -> &mut Generation {
    facts.history.current.as_mut().unwrap().as_mut().unwrap()
}

/// `problem container.state` and the like.
pub(crate) fn words(found: &[Finding]) -> Vec<String> {
    found.iter().map(|f| format!("{} {}", f.word(), f.check)).collect()
}

#[test]
fn a_stack_in_order_has_neither_problems_nor_warnings() {
    let found = super::judge(&healthy());
    assert!(found.iter().all(|f| f.word() == "ok"), "{found:#?}");
    assert!(found.len() > 10);
}

#[test]
fn the_worst_comes_first_and_whatever_is_wrong_has_a_command() {
    let facts = changed(|f| {
        f.tree.changed = Ok(vec!["a".into()]);
        container(f, 1).state = ContainerState::Dead;
        f.places[0].mode = 0o644;
        f.settings.env = env("IMAGE_TAG=v9\nA=${\nA=1");
        f.images.as_mut().unwrap().clear();
        f.silent = vec![("orbit-nginx-1".into(), "127.0.0.1:8083".into())];
    });
    let found = super::judge(&facts);
    assert!(found.is_sorted_by_key(|f| f.severity));
    for finding in found.iter().filter(|f| f.word() != "ok") {
        assert!(finding.command.is_some(), "{finding:?}");
    }
}
