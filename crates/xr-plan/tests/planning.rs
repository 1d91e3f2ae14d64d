//! Tables of stacks and the order in which they are updated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{container, origin, port, product, service, sound, titles, with_actions, world};
use xr_model::{Action, ContainerState, NetworkPlace, Plan, Port, Restore, RunKind, Service, VolumePlace};
use xr_plan::{Origin, lint, restart};

#[test]
fn the_server_starts_beside_the_old_and_the_port_is_switched_last() {
    let (desired, mut observed) = world(product(), &["db"]);
    observed.images.retain(|image| image.id != "id-server");
    assert_eq!(
        titles(&sound(&desired, &observed, &origin())),
        [
            "pull acme/server:v2",
            "back up dump of db",
            "switch tree, VERSION and .env",
            "pin 4 images",
            "create server, agent, nginx",
            "start new server beside the old",
            "wait for server",
            "switch agent over",
            "wait for agent",
            "run hook migrate",
            "switch nginx over",
            "wait for nginx",
            "smoke check",
            "stop old server",
            "watch for 10 s",
            "record generation 2",
            "remove old containers",
        ]
    );
}

#[test]
fn old_servers_leave_the_network_before_the_new_proxy_looks_for_them() {
    let (desired, observed) = world(product(), &["db", "agent"]);
    let plan = sound(&desired, &observed, &origin());
    let detached = plan.steps().find_map(|step| match &step.action {
        Action::SwitchOver { swap, detach, .. } if swap.service == "nginx" => Some(detach.clone()),
        _ => None,
    });
    let detached: Vec<_> = detached.unwrap().into_iter().map(|place| place.container).collect();
    assert_eq!(detached, ["old-server"]);
}

#[test]
fn an_unchanged_proxy_is_restarted_when_what_it_points_at_was_replaced() {
    let (desired, observed) = world(product(), &["db", "agent", "nginx"]);
    let titles = titles(&sound(&desired, &observed, &origin()));
    assert!(titles.contains(&"restart nginx".to_owned()) && !titles.iter().any(|t| t.contains("agent")), "{titles:?}");
}

#[test]
fn what_owns_data_never_runs_twice() {
    let (desired, observed) = world(product(), &["server", "agent", "nginx"]);
    let titles = titles(&sound(&desired, &observed, &origin()));
    assert!(titles.contains(&"switch db over".to_owned()), "{titles:?}");
}

#[test]
fn what_is_on_the_hosts_network_and_does_not_change_is_left_alone() {
    let exporter = Service { host_network: true, ..service("exporter", &[]) };
    let (mut desired, observed) = world(vec![exporter], &["exporter"]);
    desired.files_change = false;
    assert!(sound(&desired, &observed, &origin()).is_empty());
}

#[test]
fn nothing_to_do_is_an_empty_plan() {
    let (mut desired, observed) = world(product(), &["db", "server", "agent", "nginx"]);
    desired.files_change = false;
    assert!(sound(&desired, &observed, &origin()).is_empty());
}

#[test]
fn a_stopped_container_that_is_right_is_woken_not_replaced() {
    let (mut desired, mut observed) = world(product(), &["db", "server", "agent", "nginx"]);
    desired.files_change = false;
    observed.containers[1].state = ContainerState::Exited(137);
    let titles = titles(&sound(&desired, &observed, &origin()));
    assert!(
        titles.contains(&"restart server".to_owned()) && !titles.iter().any(|t| t.starts_with("create")),
        "{titles:?}"
    );
}

#[test]
fn a_fresh_install_starts_dependencies_first() {
    let (mut desired, mut observed) = world(product(), &[]);
    observed.containers.clear();
    desired.previous_specs.clear();
    let origin = Origin { kind: RunKind::Install, generation: None, version: None, ..origin() };
    let titles = titles(&sound(&desired, &observed, &origin));
    let order: Vec<_> = titles.iter().filter(|t| t.starts_with("start")).collect();
    assert_eq!(order, ["start db", "start server", "start agent", "start nginx"]);
}

#[test]
fn a_restart_goes_layer_by_layer_and_each_layer_is_waited_for() {
    let (desired, observed) = world(product(), &["db", "server", "agent", "nginx"]);
    let origin = Origin { kind: RunKind::Restart, ..origin() };
    let ids: Vec<String> = ["nginx", "db", "server"].iter().map(|name| format!("old-{name}")).collect();
    let plan = restart(&desired, &observed, &origin, &ids);
    assert_eq!(lint(&plan, &desired), [""; 0]);
    let titles: Vec<String> = plan.steps().map(|step| step.action.title()).collect();
    let expected =
        ["db", "server", "nginx"].iter().flat_map(|name| [format!("restart {name}"), format!("wait for {name}")]);
    assert_eq!(titles, expected.collect::<Vec<_>>());
    assert_eq!(plan.kept, ["old-agent"]);
    assert!(restart(&desired, &observed, &origin, &[]).is_empty());
}

#[test]
fn a_restart_that_does_not_wait_or_turns_the_order_round_or_does_more_breaks_rules() {
    let (desired, observed) = world(product(), &["db", "server", "agent", "nginx"]);
    let origin = Origin { kind: RunKind::Restart, ..origin() };
    let ids: Vec<String> = ["db", "server"].iter().map(|name| format!("old-{name}")).collect();
    let whole = restart(&desired, &observed, &origin, &ids);
    let breaks = |change: &dyn Fn(&mut Plan)| {
        let mut plan = whole.clone();
        change(&mut plan);
        lint(&plan, &desired).join("; ")
    };
    assert_eq!(breaks(&|plan| drop(plan.stages.pop())), "server is started, and nobody waits for it");
    let turned = breaks(&|plan| {
        let (first, second) = (plan.stages[0].steps[0].action.clone(), plan.stages[2].steps[0].action.clone());
        (plan.stages[0].steps[0].action, plan.stages[2].steps[0].action) = (second, first);
    });
    assert!(turned.contains("server is started before db, which it needs"), "{turned}");
    let more = breaks(&|plan| plan.stages[3].steps[0].action = Action::Record { generation: 2 });
    assert!(more.contains("a restart does more than restart and wait"), "{more}");
}

#[test]
fn a_database_does_not_start_last_where_its_port_is_one_of_pages() {
    for (name, first) in [("db", "start app + start db"), ("web", "start app")] {
        let keeper = Service { owns_data: true, ports: vec![Port { target: 8080, ..port(80) }], ..service(name, &[]) };
        let (mut desired, mut observed) = world(vec![service("app", &[]), keeper], &[]);
        // Something serves, and both are new.
        observed.containers = vec![container(&service("other", &[]))];
        desired.previous_specs.clear();
        let titles = titles(&sound(&desired, &observed, &origin()));
        let start = titles.iter().find(|title| title.starts_with("start "));
        assert_eq!(start.map(String::as_str), Some(first), "{titles:?}");
    }
}

#[test]
fn services_that_are_gone_are_stopped_and_removed_and_strangers_are_not() {
    let (mut desired, mut observed) = world(product(), &["db", "server", "agent", "nginx"]);
    desired.previous_specs.insert("legacy".into(), "v1".into());
    observed.containers.push(container(&service("legacy", &[])));
    observed.containers.push(container(&service("stranger", &[])));
    let plan = sound(&desired, &observed, &origin());
    let removed: Vec<_> = plan
        .steps()
        .filter_map(|step| match &step.action {
            Action::RemoveOld { swaps } => Some(swaps.iter().map(|s| s.service.clone()).collect::<Vec<_>>()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(removed, ["legacy"]);
}

#[test]
fn a_container_that_borrows_a_network_is_replaced_with_its_lender() {
    let mut services = product();
    let mut sidecar = service("sidecar", &[]);
    sidecar.tied_to = vec!["server".into()];
    services.push(sidecar);
    let (desired, observed) = world(services, &["db", "agent", "nginx", "sidecar"]);
    let titles = titles(&sound(&desired, &observed, &origin()));
    let at = |title: &str| titles.iter().position(|t| t == title);
    assert!(at("start new server beside the old") < at("switch sidecar over"), "{titles:?}");
}

#[test]
fn a_container_that_is_off_its_network_or_lacks_its_volume_is_made_anew() {
    let mut services = product();
    services[1].networks = vec![NetworkPlace { network: "p_back".into(), ipv4: None }];
    services[2].volumes = vec![VolumePlace { volume: "p_seen".into(), target: "/seen".into() }];
    let (desired, observed) = world(services, &["db", "server", "agent", "nginx"]);
    let titles = titles(&sound(&desired, &observed, &origin()));
    assert!(titles.contains(&"create server, agent".to_owned()), "{titles:?}");
}

#[test]
fn a_database_that_publishes_its_port_still_starts_before_what_needs_it() {
    let mut services = product();
    services[0].ports = vec![port(5432)];
    services[1].ports = vec![port(8888)];
    let (mut desired, mut observed) = world(services, &[]);
    observed.containers.clear();
    desired.previous_specs.clear();
    let origin = Origin { kind: RunKind::Install, generation: None, version: None, ..origin() };
    let titles = titles(&sound(&desired, &observed, &origin));
    let order: Vec<_> = titles.iter().filter(|t| t.starts_with("start")).collect();
    assert_eq!(order, ["start db", "start server", "start agent", "start nginx"]);
}

#[test]
fn every_subset_of_changes_gives_a_sound_plan() {
    // Every subset of changes of a layered stack, without a random seed to chase.
    for mask in 0..64u32 {
        let mut services: Vec<Service> = vec![];
        for n in 0..6 {
            let needs: Vec<String> = if n == 0 { vec![] } else { vec![format!("s{}", n - 1)] };
            let mut one = service(&format!("s{n}"), &needs.iter().map(String::as_str).collect::<Vec<_>>());
            one.owns_data = n % 3 == 0;
            one.ports = if n % 2 == 1 { vec![port(8000 + n)] } else { vec![] };
            services.push(one);
        }
        let names: Vec<String> = (0..6).filter(|n| mask & (1 << n) != 0).map(|n| format!("s{n}")).collect();
        let (desired, observed) = world(services, &names.iter().map(String::as_str).collect::<Vec<_>>());
        sound(&desired, &observed, &origin());
    }
}

#[test]
fn a_hook_waits_for_its_service_and_a_service_for_a_database_that_publishes_its_port() {
    let mut services = product();
    services[0].ports = vec![port(5432)];
    services[1].ports = vec![port(8888)];
    let (mut desired, mut observed) = world(services, &[]);
    observed.containers.clear();
    desired.previous_specs.clear();
    let plan =
        sound(&desired, &observed, &Origin { kind: RunKind::Install, generation: None, version: None, ..origin() });
    let titles = titles(&plan);
    let order: Vec<&str> =
        titles.iter().map(String::as_str).filter(|t| t.starts_with("start") || t.starts_with("run")).collect();
    assert_eq!(order, ["start db", "start server", "run hook migrate", "start agent", "start nginx"]);
}

fn dump() -> Restore {
    Restore {
        index: 0,
        name: "dump".into(),
        dump: "20260102T030405-g2-dump".into(),
        taken_at: "2026-01-02T03:04:05Z".into(),
        size: 1,
        service: "db".into(),
        container: "old-db".into(),
    }
}

#[test]
fn data_are_put_back_while_nobody_uses_them() {
    let (mut desired, mut observed) = world(product(), &["db", "agent"]);
    desired.hooks.clear();
    desired.restores = vec![dump()];
    // A service of the version that is left, and of no other.
    let mut extra = container(&service("extra", &["db"]));
    extra.id = "old-extra".into();
    observed.containers.push(extra);
    desired.previous_specs.insert("extra".into(), "v1".into());
    let order = titles(&sound(&desired, &observed, &origin()));
    assert_eq!(
        order,
        [
            "back up dump of db",
            "load dump of 2026-01-02T03:04:05Z beside the present data",
            "switch tree, VERSION and .env",
            "pin 4 images",
            "create server, agent, nginx",
            "stop old server + stop old agent + stop old nginx + stop old extra",
            "put back the data of dump",
            "start new server beside the old",
            "wait for server",
            "switch agent over",
            "wait for agent",
            "switch nginx over",
            "wait for nginx",
            "smoke check",
            "watch for 10 s",
            "record generation 2",
            "remove old containers",
            "throw away the data that dump replaced",
        ]
    );
}

#[test]
fn what_is_on_the_hosts_network_is_stopped_too_while_data_are_put_back() {
    let mut services = product();
    services.push(Service { host_network: true, ..service("exporter", &[]) });
    let (mut desired, observed) = world(services, &["db", "agent"]);
    desired.restores = vec![dump()];
    let order = titles(&sound(&desired, &observed, &origin()));
    let stop = order.iter().find(|title| title.starts_with("stop old")).unwrap();
    assert!(stop.contains("stop old exporter"), "{stop}");
}

#[test]
fn data_that_would_be_put_back_without_a_way_back_or_under_somebodys_hands_are_refused() {
    let (mut desired, observed) = world(product(), &["db", "agent"]);
    desired.hooks.clear();
    desired.restores = vec![dump()];
    let sound = sound(&desired, &observed, &origin());
    let refused = |moved: &str, before: Option<&str>| {
        let mut actions: Vec<Action> = sound.steps().map(|step| step.action.clone()).collect();
        let find = |actions: &[Action], title: &str| actions.iter().position(|a| a.title().starts_with(title)).unwrap();
        let taken = actions.remove(find(&actions, moved));
        if let Some(before) = before {
            actions.insert(find(&actions, before), taken);
        }
        lint(&with_actions(&sound, actions), &desired)
    };
    for (moved, before, rule) in [
        ("back up dump of db", None, "dump is put back without a backup of the present data"),
        ("load dump", None, "dump is put back before it is loaded"),
        ("put back the data", Some("wait for agent"), "dump is put back after something new was started"),
        ("throw away", Some("record"), "what dump replaced is thrown away before the generation is recorded"),
    ] {
        assert_eq!(refused(moved, before), [rule], "{moved}");
    }
}

#[test]
fn a_network_is_made_anew_with_nobody_on_it_and_everybody_comes_back() {
    let (mut desired, observed) = world(product(), &["db", "agent"]);
    desired.remade_networks =
        vec![xr_model::RemadeNetwork { name: "p_default".into(), definition: serde_json::Value::Null }];
    let titles = titles(&sound(&desired, &observed, &origin()));
    let at = |title: &str| titles.iter().position(|one| one.split(" + ").any(|one| one == title)).unwrap();
    let remade = at("remove network p_default for its new definition");
    assert!(at("stop old nginx") < at("stop old server") && at("stop old server") < at("stop old db"), "{titles:#?}");
    assert!(at("stop old db") < remade && remade < at("create db, server, agent, nginx"), "{titles:#?}");
    assert!(at("switch db over") < at("switch nginx over"), "what was kept is made anew too: {titles:#?}");
}

#[test]
fn what_its_containers_may_write_keeps_a_service_from_running_twice() {
    let mut services = product();
    services[1].beside = None;
    let (desired, mut observed) = world(services, &["db"]);
    let switched = |observed: &xr_model::Observed| titles(&sound(&desired, observed, &origin()));
    assert!(switched(&observed).contains(&"start new server beside the old".to_owned()));
    let mount = |source: &str, writable| xr_model::Mount {
        kind: xr_model::MountKind::Bind,
        source: source.into(),
        target: "/data".into(),
        writable,
    };
    for (source, writable, beside) in
        [("/srv/data", true, false), ("/srv/data", false, true), ("/var/run/docker.sock", true, true)]
    {
        let server = observed.containers.iter_mut().find(|c| c.service == "server").unwrap();
        server.mounts = vec![mount(source, writable)];
        let started = switched(&observed).contains(&"start new server beside the old".to_owned());
        assert_eq!(started, beside, "{source} writable: {writable}");
    }
}

#[test]
fn a_port_that_moves_to_another_service_is_given_up_first() {
    let mut services = vec![service("a", &[]), service("b", &[])];
    services[0].ports = vec![port(8083)];
    let (mut desired, mut observed) = world(services, &[]);
    observed.containers[0].ports.clear();
    observed.containers[1].ports = vec![port(8083)];
    desired.hooks.clear();
    let titles = titles(&sound(&desired, &observed, &origin()));
    let at = |title: &str| titles.iter().position(|one| one == title).unwrap();
    assert!(at("stop old b") < at("switch a over") && at("switch a over") < at("switch b over"), "{titles:#?}");
}

#[test]
fn the_grace_period_of_the_compose_file_bounds_the_end_of_a_ports_holder() {
    let mut services = product();
    services[3].stop_grace = Some(std::time::Duration::from_secs(30));
    let (desired, observed) = world(services, &["db"]);
    let plan = sound(&desired, &observed, &origin());
    let drain = plan.steps().find_map(|step| match &step.action {
        Action::SwitchOver { swap, drain, .. } if swap.service == "nginx" => Some(*drain),
        _ => None,
    });
    assert_eq!(drain.unwrap(), Some(std::time::Duration::from_secs(30)));
}

#[test]
fn what_reaches_restored_data_is_stopped_though_it_does_not_say_that_it_needs_them() {
    let mut services = product();
    services[1].depends_on.clear();
    services.insert(0, service("cache", &[]));
    services[0].image = xr_model::ImageRef::new("docker.io/library/redis:7");
    let (mut desired, observed) = world(services, &["db", "agent", "cache"]);
    desired.hooks.clear();
    desired.restores = vec![dump()];
    let titles = titles(&sound(&desired, &observed, &origin()));
    let stopped = titles.iter().find(|title| title.starts_with("stop old")).unwrap();
    assert!(stopped.contains("stop old server") && !stopped.contains("cache"), "{titles:#?}");
}
