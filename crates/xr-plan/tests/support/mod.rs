//! A stack of the field as data, to be planned for.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::{collections::BTreeMap, time::Duration};

use xr_model::{
    Action, Attachment, Condition, Container, ContainerState, Dependency, Desired, DesiredBackup, DesiredHook, Digest,
    Health, ImageRef, LocalImage, Observed, PinnedImage, Plan, Port, RunKind, Service, Stage, Step, StepId,
};
use xr_plan::{Origin, lint, plan};

pub fn service(name: &str, needs: &[&str]) -> Service {
    Service {
        content: String::new(),
        name: name.into(),
        image: ImageRef::new(format!("acme/{name}:v2")),
        spec: format!("{name}-v2"),
        variables: None,
        depends_on: needs
            .iter()
            .map(|n| Dependency {
                service: (*n).into(),
                condition: Condition::ServiceHealthy,
                required: true,
                restart: false,
            })
            .collect(),
        ports: vec![],
        container_name: None,
        health: None,
        owns_data: false,
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

pub fn port(number: u16) -> Port {
    Port { host_ip: String::new(), published: number, until: None, target: 80, protocol: "tcp".into() }
}

pub fn container(service: &Service) -> Container {
    Container {
        id: format!("old-{}", service.name),
        name: format!("p-{}-1", service.name),
        service: service.name.clone(),
        folder: String::new(),
        number: 1,
        config_hash: String::new(),
        image: service.image.to_string(),
        image_id: format!("id-{}-old", service.name),
        state: ContainerState::Running,
        health: Health::None,
        restarts: 0,
        restart: "always".to_owned(),
        started_at: String::new(),
        addresses: vec![],
        networks: vec![Attachment {
            container: format!("old-{}", service.name),
            network: "p_default".into(),
            aliases: vec![service.name.clone()],
            ipv4: None,
            settings: serde_json::Value::Null,
        }],
        ports: service.ports.clone(),
        mounts: Vec::new(),
    }
}

/// The stack of the field: data below, server, agent with a fixed name, proxy with the port on top.
pub fn product() -> Vec<Service> {
    let mut db = service("db", &[]);
    db.owns_data = true;
    let server = service("server", &["db"]);
    let mut agent = service("agent", &["server"]);
    agent.container_name = Some("agent".into());
    let mut nginx = service("nginx", &["server"]);
    nginx.ports = vec![port(8083)];
    vec![db, server, agent, nginx]
}

/// A world in which `same` services already are as desired and the others are one version behind.
pub fn world(services: Vec<Service>, same: &[&str]) -> (Desired, Observed) {
    let mut observed = Observed::default();
    let mut previous_specs = BTreeMap::new();
    let mut images = vec![];
    for service in &services {
        let mut running = container(service);
        let kept = same.contains(&service.name.as_str());
        if kept {
            running.image_id = format!("id-{}", service.name);
        }
        previous_specs.insert(service.name.clone(), if kept { service.spec.clone() } else { "v1".into() });
        observed.containers.push(running);
        let digest = Digest(format!("sha256:{}", service.name));
        observed.images.push(LocalImage {
            id: format!("id-{}", service.name),
            tags: vec![],
            repo_digests: vec![service.image.pinned(&digest)],
            size: 0,
        });
        images.push(PinnedImage {
            reference: service.image.clone(),
            digest: Some(digest),
            image_id: String::new(),
            services: vec![service.name.clone()],
            versioned: true,
        });
    }
    let desired = Desired {
        version: "v2.0.0".parse().unwrap(),
        generation: 2,
        commit: Some("c".into()),
        services,
        left_out: vec![],
        images,
        previous_specs,
        ended: Vec::new(),
        files_change: true,
        hooks: vec![DesiredHook { index: 0, name: "migrate".into(), service: "server".into() }],
        backups: vec![DesiredBackup { index: 0, name: "dump".into(), service: "db".into() }],
        restores: vec![],
        remade_networks: vec![],
        settle: Duration::from_secs(10),
        smoke: true,
        fleet: None,
    };
    (desired, observed)
}

pub fn origin() -> Origin {
    Origin {
        kind: RunKind::Update,
        generation: Some(1),
        version: Some("v1.0.0".parse().unwrap()),
        drain: BTreeMap::new(),
        patience: BTreeMap::new(),
    }
}

pub fn titles(plan: &Plan) -> Vec<String> {
    plan.stages
        .iter()
        .map(|stage| stage.steps.iter().map(|s| s.action.title()).collect::<Vec<_>>().join(" + "))
        .collect()
}

pub fn sound(desired: &Desired, observed: &Observed, origin: &Origin) -> Plan {
    let plan = plan(desired, observed, origin);
    assert_eq!(lint(&plan, desired), Vec::<String>::new(), "{:#?}", titles(&plan));
    plan
}

/// The same plan with other steps, numbered from 1.
pub fn with_actions(plan: &Plan, actions: Vec<Action>) -> Plan {
    let steps = (1..).zip(actions).map(|(id, action)| Step { id: StepId(id), action }).collect();
    Plan { stages: vec![Stage { name: "all".into(), steps }], ..plan.clone() }
}
