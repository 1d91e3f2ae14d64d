//! From what should be and what is to the ordered list of steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use xr_model::{
    Action, Attachment, Container, Desired, DesiredHook, Observed, Plan, Port, RemadeNetwork, RunKind, Service, Stage,
    Step, StepId, Swap, Version,
};

use crate::{
    change::{Change, changes, users_of_restored, wanted},
    fleet,
};

/// Where a run starts from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Which command.
    pub kind: RunKind,
    /// The generation that serves now.
    pub generation: Option<u32>,
    /// Its version.
    pub version: Option<Version>,
    /// How long the old holder of a port may take to end, by service; [`DRAIN`] for the others.
    pub drain: BTreeMap<String, Duration>,
    /// How long to wait for health, by service; the check's own patience for the others.
    pub patience: BTreeMap<String, Duration>,
}

/// How long the old holder of a port that keeps no data may take to end before it is killed: connections are refused meanwhile.
const DRAIN: Duration = Duration::from_millis(500);
/// The ports of a container on which pages are served as a rule: what a proxy serves there stands behind it, also where the
/// compose file does not say so, and it may write a folder of certificates.
const PAGES: [u16; 4] = [80, 443, 8080, 8443];
/// How long to wait for a container without a check to be up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a container that must complete may take.
const COMPLETION: Duration = Duration::from_secs(600);

/// The steps that turn `observed` into `desired`; an empty plan when there is nothing to do.
pub fn plan(desired: &Desired, observed: &Observed, origin: &Origin) -> Plan {
    let changes = changes(desired, observed);
    let mut build = Builder::default();
    let quiet = changes.values().all(|change| *change == Change::Keep);
    let gone = gone(desired, observed);
    let missing: Vec<_> = desired.images.iter().filter(|i| i.digest.is_some() && observed.local(i).is_none()).collect();
    let idle = quiet
        && gone.is_empty()
        && missing.is_empty()
        && desired.restores.is_empty()
        && !desired.files_change
        && origin.generation.is_some();
    if !idle {
        let users = users_of_restored(desired, observed);
        let work = Work { desired, observed, origin, changes: &changes, gone, users };
        build.stage("pull", missing.into_iter().map(|image| Action::PullImage { image: image.clone() }));
        build.stage("stage workers", fleet::stage(desired, observed));
        build.stage(
            "back up",
            desired.backups.iter().map(|one| Action::Backup {
                index: one.index,
                name: one.name.clone(),
                service: one.service.clone(),
            }),
        );
        let restores = desired.restores.iter().cloned();
        build.stage("load data", restores.map(|restore| Action::LoadDump { restore }));
        work.switch(&mut build);
    }
    finished(build, desired, observed, origin)
}

/// The plan that these stages are.
pub(crate) fn finished(build: Builder, desired: &Desired, observed: &Observed, origin: &Origin) -> Plan {
    Plan {
        kind: origin.kind,
        from: origin.generation,
        from_version: origin.version.clone(),
        generation: desired.generation,
        version: desired.version.clone(),
        kept: kept(&build.stages, observed),
        stages: build.stages,
    }
}

/// Containers that run and that no step names.
fn kept(stages: &[Stage], observed: &Observed) -> Vec<String> {
    let named = |id: &str| {
        let mut swaps = stages.iter().flat_map(|stage| &stage.steps).flat_map(|step| step.action.swaps());
        swaps.any(|swap| swap.has(id))
    };
    let running = observed.containers.iter().filter(|container| container.is_running());
    let kept = running.filter(|container| !stages.is_empty() && !named(&container.id));
    kept.map(|container| container.id.clone()).collect()
}

/// Containers of services that were in the last generation and are in no more.
fn gone(desired: &Desired, observed: &Observed) -> Vec<Swap> {
    let wanted: BTreeSet<&str> = wanted(desired).map(|s| s.name.as_str()).collect();
    let mut gone: BTreeMap<&str, Vec<Container>> = BTreeMap::new();
    for container in &observed.containers {
        let ours = desired.previous_specs.contains_key(&container.service);
        if ours && !wanted.contains(container.service.as_str()) {
            gone.entry(&container.service).or_default().push(container.clone());
        }
    }
    gone.into_iter()
        .map(|(service, old)| Swap { service: service.to_owned(), old, replicas: 0, container_name: None })
        .collect()
}

/// Whether a container stands on one of these networks.
pub(crate) fn is_on(container: &Container, networks: &[RemadeNetwork]) -> bool {
    container.networks.iter().any(|place| networks.iter().any(|network| network.name == place.network))
}

/// Numbers steps from 1 and gathers them in stages.
#[derive(Default)]
pub(crate) struct Builder {
    stages: Vec<Stage>,
    last: u32,
}

impl Builder {
    /// The next stage; none when it has no steps.
    pub(crate) fn stage(&mut self, name: &str, actions: impl IntoIterator<Item = Action>) {
        let mut steps: Vec<Step> = actions
            .into_iter()
            .map(|action| {
                self.last += 1;
                Step { id: StepId(self.last), action }
            })
            .collect();
        if !steps.is_empty() {
            // The steps of many workers are not worth twice their room.
            steps.shrink_to_fit();
            self.stages.push(Stage { name: name.to_owned(), steps });
        }
    }
}

/// Waits for a service as long as the publisher says, else its own check, else what its kind may take.
pub(crate) fn await_healthy(service: &Service, desired: &Desired, origin: &Origin) -> Action {
    let completes = desired.services.iter().any(|other| other.waits_for_the_end_of(&service.name));
    let own = service.health.as_ref().map_or(PATIENCE, xr_model::HealthCheck::patience);
    let patience = origin.patience.get(&service.name).copied().unwrap_or(if completes { COMPLETION } else { own });
    Action::AwaitHealthy { service: service.name.clone(), patience, completes }
}

/// The next hooks, in their order, as far as none of their services is among those still `to_come`.
fn run_hooks(hooks: &mut &[DesiredHook], to_come: &[&Service], build: &mut Builder) {
    while let Some((hook, rest)) = hooks.split_first() {
        if to_come.iter().any(|service| service.name == hook.service) {
            return;
        }
        build.stage("hook", [Action::RunHook { index: hook.index, name: hook.name.clone() }]);
        *hooks = rest;
    }
}

struct Work<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    origin: &'a Origin,
    changes: &'a BTreeMap<String, Change>,
    gone: Vec<Swap>,
    /// Services that need data which are put back.
    users: BTreeSet<&'a str>,
}

impl Work<'_> {
    /// Everything from the first step that touches what runs.
    fn switch(&self, build: &mut Builder) {
        let desired = self.desired;
        let images: Vec<_> =
            desired.images.iter().filter(|i| i.digest.is_some() || !i.image_id.is_empty()).cloned().collect();
        if desired.files_change || self.origin.generation.is_none() {
            let files = Action::SwitchFiles { generation: desired.generation, commit: desired.commit.clone() };
            build.stage("switch files", [files]);
        }
        build.stage("pin", [Action::TagImages { images }]);
        self.remake_networks(build);
        let fresh: Vec<&Service> = wanted(desired).filter(|s| self.makes_new(s)).collect();
        if !fresh.is_empty() {
            let swaps = fresh.iter().map(|s| self.swap(s)).collect();
            build.stage("create", [Action::CreateContainers { swaps }]);
        }
        let gone = self.put_back_data(build);
        // What holds a host port goes last, so that the outside sees one short switch.
        let late = self.late();
        let (late, inner): (Vec<&Service>, Vec<&Service>) =
            wanted(desired).partition(|s| late.contains(s.name.as_str()));
        self.inner(&inner, build);
        let mut hooks = desired.hooks.as_slice();
        run_hooks(&mut hooks, &late, build);
        let (gone_with_port, gone_without): (Vec<Swap>, Vec<Swap>) =
            gone.iter().cloned().partition(|swap| swap.old.iter().any(|c| !c.ports.is_empty()));
        build.stage("make room", gone_with_port.iter().map(|swap| Action::StopOld { swap: swap.clone() }));
        self.last(&late, hooks, build);
        if desired.smoke {
            build.stage("smoke check", [Action::SmokeCheck]);
        }
        let beside = wanted(desired).filter(|s| self.replaced_beside(s));
        let retired = beside.map(|s| self.swap(s)).chain(gone_without);
        build.stage("stop old", retired.map(|swap| Action::StopOld { swap }));
        let watched: Vec<String> =
            wanted(desired).filter(|s| self.change(s) != Change::Keep).map(|s| s.name.clone()).collect();
        build.stage("switch workers", fleet::switch(desired, self.observed));
        if !watched.is_empty() && !desired.settle.is_zero() {
            build.stage("settle", [Action::Settle { services: watched, watch: desired.settle }]);
        }
        build.stage("verify workers", fleet::verify(desired, self.observed));
        build.stage("record", [Action::Record { generation: desired.generation }]);
        build.stage("confirm workers", fleet::confirm(desired, self.observed));
        let mut old: Vec<Swap> = fresh.iter().map(|s| self.swap(s)).filter(|swap| !swap.old.is_empty()).collect();
        old.extend(self.gone.iter().cloned());
        if !old.is_empty() {
            build.stage("remove old", [Action::RemoveOld { swaps: old }]);
        }
        let restores = desired.restores.iter().cloned();
        build.stage("drop replaced data", restores.map(|restore| Action::DropAside { restore }));
    }

    /// A network takes another definition only with nobody on it: what stands there stops, dependants first.
    fn remake_networks(&self, build: &mut Builder) {
        let remade = &self.desired.remade_networks;
        if remade.is_empty() {
            return;
        }
        let stands_there = |swap: &Swap| swap.old.iter().any(|old| is_on(old, remade));
        let depths = self.depths();
        let deepest = depths.values().copied().max().unwrap_or(0);
        let mut stopped: Vec<Swap> = self.gone.iter().filter(|swap| stands_there(swap)).cloned().collect();
        build.stage("make room", stopped.iter().map(|swap| Action::StopOld { swap: swap.clone() }));
        for depth in (0..=deepest).rev() {
            let layer = wanted(self.desired).filter(|s| depths.get(s.name.as_str()) == Some(&depth));
            let layer: Vec<Swap> = layer.map(|s| self.swap(s)).filter(stands_there).collect();
            build.stage("make room", layer.iter().map(|swap| Action::StopOld { swap: swap.clone() }));
            stopped.extend(layer);
        }
        let all = stopped.iter().flat_map(|swap| &swap.old).flat_map(|old| &old.networks);
        let places = all.filter(|place| remade.iter().any(|network| network.name == place.network)).cloned().collect();
        build.stage("networks", [Action::RemakeNetworks { networks: remade.clone(), places }]);
    }

    /// While nobody uses the data that are put back: what needs them, and what is gone in the version to be, is stopped
    /// before. Gives what is gone and still runs.
    fn put_back_data(&self, build: &mut Builder) -> Vec<Swap> {
        if self.desired.restores.is_empty() {
            return self.gone.clone();
        }
        let users = wanted(self.desired).filter(|s| self.users.contains(s.name.as_str())).map(|s| self.swap(s));
        let stopped = users.chain(self.gone.iter().cloned()).filter(|swap| !swap.old.is_empty());
        build.stage("stop what uses the data", stopped.map(|swap| Action::StopOld { swap }));
        let restores = self.desired.restores.iter().cloned();
        build.stage("put back data", restores.map(|restore| Action::SwapData { restore }));
        Vec::new()
    }

    /// Services without a port, layer by layer: each layer depends only on those before it.
    fn inner(&self, inner: &[&Service], build: &mut Builder) {
        let depths = self.depths();
        let deepest = depths.values().copied().max().unwrap_or(0);
        for depth in 0..=deepest {
            let layer: Vec<&&Service> = inner
                .iter()
                .filter(|s| depths.get(s.name.as_str()) == Some(&depth))
                .filter(|s| self.change(s) != Change::Keep || self.restarts_with_another(s))
                .collect();
            build.stage("start", layer.iter().map(|s| self.begin(s)));
            build.stage("health", layer.iter().map(|s| self.await_healthy(s)));
        }
    }

    fn begin(&self, service: &Service) -> Action {
        let swap = self.swap(service);
        match self.change(service) {
            Change::Wake | Change::Keep => Action::Restart { swap, detach: Vec::new(), drain: None },
            Change::Replace if !self.may_run_beside(service) => {
                Action::SwitchOver { swap, detach: Vec::new(), drain: None }
            }
            _ => Action::Start { swap },
        }
    }

    /// Whether others may need it though nobody says so: it needs nobody, and owns data, a database that publishes its port.
    /// While nothing serves that could be kept serving, what nobody orders starts at once, as with compose.
    fn comes_first(&self, service: &Service) -> bool {
        let serves = self.observed.containers.iter().any(Container::is_up);
        let serves_pages = service.ports.iter().any(|port| PAGES.contains(&port.target));
        let is_proxy = serves_pages && !service.is_called_a_database();
        let needs_nobody = service.depends_on.is_empty() && service.tied_to.is_empty();
        needs_nobody && (!serves || (self.owns_data(service) && !is_proxy))
    }

    /// Holders of host ports, and what cannot start before one that is not up yet: a server whose database publishes its port.
    fn late(&self) -> BTreeSet<&str> {
        let mut late = BTreeSet::new();
        for service in wanted(self.desired) {
            let below = service.depends_on.iter().map(|d| &d.service).chain(&service.tied_to);
            let waits = below
                .filter(|name| late.contains(name.as_str()))
                .any(|name| self.changes.get(name).is_some_and(|change| *change != Change::Keep));
            let holds_port = self.holds_port(service) && !self.comes_first(service);
            if holds_port || (waits && self.change(service) != Change::Keep) {
                late.insert(service.name.as_str());
            }
        }
        late
    }

    fn may_run_beside(&self, service: &Service) -> bool {
        service.may_run_beside(self.observed.of(&service.name))
    }

    /// Whether a service may write data, by its definition or by what its containers have mounted.
    fn owns_data(&self, service: &Service) -> bool {
        service.owns_data || self.observed.of(&service.name).any(Container::holds_data)
    }

    /// Whether its old containers run beside the new until the switch.
    fn replaced_beside(&self, service: &Service) -> bool {
        self.change(service) == Change::Replace
            && self.may_run_beside(service)
            && !self.holds_port(service)
            && !self.users.contains(service.name.as_str())
    }

    /// Where the old containers of a service stand on the network, when the new ones stand beside them.
    fn old_places(&self, service: &Service) -> Vec<Attachment> {
        if !self.replaced_beside(service) {
            return Vec::new();
        }
        self.observed.of(&service.name).filter(|c| c.is_running()).flat_map(|c| c.networks.clone()).collect()
    }

    /// What goes last, one after the other, each hook as soon as its service is up. Before a holder starts, the old
    /// containers that ran beside the new leave the network, so that it cannot resolve their addresses.
    fn last(&self, late: &[&Service], mut hooks: &[DesiredHook], build: &mut Builder) {
        let begun = wanted(self.desired).filter(|s| !late.iter().any(|l| l.name == s.name));
        let mut detach: Vec<Attachment> = begun.flat_map(|s| self.old_places(s)).collect();
        for (index, service) in late.iter().enumerate() {
            self.one_of_the_last(service, &late[index + 1..], &mut detach, build);
            run_hooks(&mut hooks, &late[index + 1..], build);
        }
    }

    /// Whether the old containers of a service hold a port that the new ones of another publish: it moves between the two.
    fn has_a_port_of(&self, service: &Service, wants: &Service) -> bool {
        let held = || self.observed.of(&service.name).filter(|container| container.is_up()).flat_map(|c| &c.ports);
        let same = |port: &Port| held().any(|held| held.published == port.published && held.protocol == port.protocol);
        self.change(service) != Change::Keep && self.makes_new(wants) && wants.ports.iter().any(same)
    }

    fn one_of_the_last(
        &self,
        service: &Service,
        later: &[&Service],
        detach: &mut Vec<Attachment>,
        build: &mut Builder,
    ) {
        if !self.holds_port(service) {
            build.stage("start", [self.begin(service)]);
            build.stage("health", [self.await_healthy(service)]);
            detach.extend(self.old_places(service));
            return;
        }
        let in_the_way = later.iter().filter(|other| self.has_a_port_of(other, service));
        build.stage("make room", in_the_way.map(|other| Action::StopOld { swap: self.swap(other) }));
        let swap = self.swap(service);
        let bears_a_kill = !self.owns_data(service) || service.beside == Some(true);
        let said = self.origin.drain.get(&service.name).copied().or(service.stop_grace);
        let drain = bears_a_kill.then(|| said.unwrap_or(DRAIN));
        let action = match self.change(service) {
            Change::Keep if self.follows_a_replaced(service) || self.restarts_with_another(service) => {
                Action::Restart { swap, detach: std::mem::take(detach), drain }
            }
            Change::Keep => return,
            Change::Wake => Action::Restart { swap, detach: Vec::new(), drain: None },
            Change::Create => Action::Start { swap },
            Change::Replace => Action::SwitchOver { swap, detach: std::mem::take(detach), drain },
        };
        build.stage("switch over", [action]);
        build.stage("health", [self.await_healthy(service)]);
    }

    fn change(&self, service: &Service) -> Change {
        self.changes.get(&service.name).copied().unwrap_or(Change::Keep)
    }

    fn makes_new(&self, service: &Service) -> bool {
        matches!(self.change(service), Change::Create | Change::Replace)
    }

    fn holds_port(&self, service: &Service) -> bool {
        !service.ports.is_empty()
            || service.host_network
            || self.observed.of(&service.name).any(|container| !container.ports.is_empty())
    }

    /// An unchanged proxy may hold the address of a server that was replaced behind it.
    fn follows_a_replaced(&self, service: &Service) -> bool {
        service.depends_on.iter().any(|dependency| {
            self.changes.get(&dependency.service) == Some(&Change::Replace)
                || self.desired.services.iter().any(|s| s.name == dependency.service && self.follows_a_replaced(s))
        })
    }

    /// Whether it stays and is restarted, because it says so of one that is replaced.
    fn restarts_with_another(&self, service: &Service) -> bool {
        let replaced = |name: &str| self.changes.get(name) == Some(&Change::Replace);
        self.change(service) == Change::Keep
            && service.depends_on.iter().any(|other| other.restart && replaced(&other.service))
    }

    fn swap(&self, service: &Service) -> Swap {
        Swap {
            service: service.name.clone(),
            old: self.observed.of(&service.name).cloned().collect(),
            replicas: service.replicas,
            container_name: service.container_name.clone(),
        }
    }

    fn await_healthy(&self, service: &Service) -> Action {
        await_healthy(service, self.desired, self.origin)
    }

    /// How many changed services lie below each.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for service in &self.desired.services {
            let below = service.depends_on.iter().map(|d| &d.service).chain(&service.tied_to);
            let depth = below
                .map(|name| {
                    let changed = self.changes.get(name).is_some_and(|change| *change != Change::Keep);
                    depths.get(name.as_str()).copied().unwrap_or(0) + usize::from(changed)
                })
                .max()
                .unwrap_or(0);
            depths.insert(&service.name, depth);
        }
        depths
    }
}
