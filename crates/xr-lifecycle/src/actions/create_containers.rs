//! Have compose create the replacement containers without starting them, and give them the names of the old.
//!
//! Compose creates them from the real files, so that it agrees with them afterwards. Two kinds need a word more:
//! - A service with a fixed name cannot have two: it is created without the name and then made again under it.
//! - A service that borrows another's network (`network_mode: service:x`) would be given that of the old container: it is
//!   created after its lender, and told the new one's id, as compose itself would write it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future;
use xr_compose::volumes::is_unnamed;
use xr_host::{Engine, Twin};
use xr_model::{Container, ContainerState, Fault, Generation, Mount, MountKind, Result, RunKind, Swap};
use xr_session::{Failure, Session};

use super::{Run, inject};

/// The keys of a service that may name another whose namespace it shares.
const SHARED: [&str; 3] = ["network_mode", "ipc", "pid"];

/// What an overriding compose file says: lines by service.
type Override = BTreeMap<String, String>;

/// What an old container is called until it is removed.
fn retired(name: &str) -> String {
    format!("{name}-xr-old")
}

pub(crate) async fn act(run: &Run<'_, '_>, swaps: &[Swap]) -> std::result::Result<(), Failure> {
    let mut present = run.session.containers(run.project()).await?;
    // What an interrupted attempt left is not trusted.
    for half in present.extract_if(.., |c| swaps.iter().any(|s| s.service == c.service && !s.has(&c.id))) {
        run.session.engine.remove(&half.id, true).await?;
    }
    // Compose takes a frozen one for one that it has to start, and cannot.
    for frozen in present.iter().filter(|container| container.state == ContainerState::Paused) {
        run.session.engine.unpause(&frozen.id).await?;
    }
    let services = &run.prepared.generation.services;
    let lenders = |swap: &Swap| services.iter().find(|s| s.name == swap.service).map_or(&[][..], |s| &s.tied_to);
    let mut pending: Vec<&Swap> = swaps.iter().collect();
    while !pending.is_empty() {
        let waits = |swap: &&Swap| pending.iter().any(|other| lenders(swap).contains(&other.service));
        let (later, now): (Vec<&Swap>, Vec<&Swap>) = pending.iter().copied().partition(waits);
        if now.is_empty() {
            return Err(Fault::new("services borrow each other's networks in a circle").into());
        }
        let borrowers: Vec<&Swap> = now.iter().copied().filter(|swap| !lenders(swap).is_empty()).collect();
        let borrowed = if borrowers.is_empty() { Override::new() } else { borrowed(run, &borrowers, swaps).await? };
        create(run, &present, &now, swaps, &later, &borrowed).await?;
        pending = later;
    }
    Ok(())
}

/// Creates the containers of `now`; of `all`, those of `later` stay as they are.
async fn create(
    run: &Run<'_, '_>,
    present: &[Container],
    now: &[&Swap],
    all: &[Swap],
    later: &[&Swap],
    borrowed: &Override,
) -> std::result::Result<(), Failure> {
    let generation = &run.prepared.generation;
    let compose = run.session.compose(generation.number, &generation.invocation)?;
    // The whole project is named, not only what is replaced: compose's hash of a service depends on its neighbours.
    let mut scales = as_they_are(generation, all, present);
    scales.extend(all.iter().map(|swap| {
        let new = if later.contains(&swap) { 0 } else { swap.replicas as usize };
        format!("{}={}", swap.service, swap.old.len() + new)
    }));
    let named: Vec<&Swap> = now.iter().copied().filter(|s| s.container_name.is_some() && !s.old.is_empty()).collect();
    let mut above = borrowed.clone();
    for swap in &named {
        // The `!reset` tag: https://docs.docker.com/reference/compose-file/merge/#reset-value
        *above.entry(swap.service.clone()).or_default() += "    container_name: !reset null\n";
    }
    let mut cmd = compose.command_under(&text(&above));
    cmd = cmd.args(["up", "--no-start", "--no-build", "--no-recreate", "--pull", "never", "--quiet-pull"]);
    for scale in &scales {
        cmd = cmd.args(["--scale", scale.as_str()]);
    }
    let output = cmd.run_async().await?;
    if output.code != 0 {
        let why = complaint(&output.error_text());
        return Err(Fault::new(format!("compose cannot create the containers: {why}")).hint("xr doctor").into());
    }
    let hashes = if named.is_empty() {
        Vec::new()
    } else {
        let above = text(borrowed);
        let hashes = tokio::task::spawn_blocking(move || compose.hashes(&above));
        hashes.await.map_err(Fault::at("a command's thread died"))??
    };
    let renames = now.iter().map(|swap| take_over_names(run, swap, &hashes));
    future::join_all(renames).await.into_iter().collect::<Result<Vec<()>>>()?;
    inject::act(run, now).await?;
    Ok(())
}

/// Services that shall have no containers: what they have stays until the new generation is proven, though compose would
/// remove it at once.
fn as_they_are(generation: &Generation, all: &[Swap], present: &[Container]) -> Vec<String> {
    let left_out = generation.invocation.left_out.iter();
    let none = generation.services.iter().filter(|service| service.replicas == 0).map(|service| &service.name);
    let others: BTreeSet<&String> =
        left_out.chain(none).filter(|name| !all.iter().any(|swap| swap.service == **name)).collect();
    let has = |name: &str| present.iter().filter(|container| container.service == name).count();
    others.into_iter().map(|name| format!("{name}={}", has(name))).collect()
}

fn text(above: &Override) -> String {
    let services: String = above.iter().map(|(service, lines)| format!("  {service:?}:\n{lines}")).collect();
    if services.is_empty() { services } else { format!("services:\n{services}") }
}

/// What compose says but for its progress: ` Container shop-web-1  Creating`.
fn complaint(said: &str) -> String {
    let progress = |line: &&str| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("Container" | "Network" | "Volume")) && words.count() == 2
    };
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("level=warning") && !progress(line)).collect();
    lines[lines.len().saturating_sub(3)..].join("; ").trim().to_owned()
}

/// Names the new containers whose namespaces are borrowed.
async fn borrowed(run: &Run<'_, '_>, borrowers: &[&Swap], swaps: &[Swap]) -> Result<Override> {
    let resolved = run.session.resolved(&run.prepared.generation).await?;
    let mut above = Override::new();
    for borrower in borrowers {
        let definition = &resolved.json["services"][&borrower.service];
        let mut lines = String::new();
        for key in SHARED {
            let shared = definition[key].as_str();
            let Some(lender) = shared.and_then(|mode| mode.strip_prefix("service:")) else { continue };
            let Some(swap) = swaps.iter().find(|swap| swap.service == lender) else { continue };
            if let Some(new) = run.new_of(swap).await?.first() {
                lines += &format!("    {key}: \"container:{}\"\n", new.id);
            }
        }
        if !lines.is_empty() {
            // Compose derives it from `service:x`, and it is part of its hash.
            lines += &format!("    depends_on: {}\n", definition["depends_on"]);
            above.insert(borrower.service.clone(), lines);
        }
    }
    Ok(above)
}

async fn take_over_names(run: &Run<'_, '_>, swap: &Swap, hashes: &[(String, String)]) -> Result<()> {
    let engine = &run.session.engine;
    let new = run.new_of(swap).await?;
    if new.len() != swap.replicas as usize {
        return Err(Fault::new(format!(
            "compose made {} containers of {} instead of {}",
            new.len(),
            swap.service,
            swap.replicas
        ))
        .hint("docker compose ps --all"));
    }
    for old in &swap.old {
        set_aside(engine, old).await?;
    }
    let fixed = swap.container_name.as_deref().filter(|_| !swap.old.is_empty());
    let hash = match fixed {
        Some(_) => {
            let hash = hashes.iter().find(|(service, _)| *service == swap.service).map(|(_, hash)| hash.as_str());
            Some(hash.ok_or_else(|| Fault::new(format!("compose has no hash for {}", swap.service)))?)
        }
        None => None,
    };
    let mut replaced: Vec<&Container> = swap.old.iter().collect();
    replaced.dedup_by_key(|old| old.own_name());
    let fixed_before = |old: &&&Container| !is_numbered(old.own_name(), &swap.service);
    for (at, container) in new.iter().enumerate() {
        let old = replaced.get(at);
        let numbered = || old.filter(fixed_before).map(|_| numbered(&container.name, at));
        let name = fixed.map(str::to_owned).or_else(numbered).or_else(|| old.map(|old| old.own_name().to_owned()));
        let name = name.unwrap_or_else(|| container.name.clone());
        let inherits = inherited(container, old.copied(), &kept(run, swap, at).await?);
        if hash.is_none() && inherits.is_empty() {
            if container.name != name {
                engine.rename(&container.id, &name).await?;
            }
            continue;
        }
        if container.name == name {
            // Its twin takes the name.
            engine.rename(&container.id, &retired(&name)).await?;
        }
        engine.make_twin(&container.id, &Twin { name: &name, hash, inherits: &inherits }).await?;
    }
    Ok(())
}

/// The volumes without a name that a container had when the generation was recorded that is gone back to, as far as they are
/// still there; of a service that has no containers, those that it had in the generation that serves.
async fn kept(run: &Run<'_, '_>, swap: &Swap, at: usize) -> Result<Vec<Mount>> {
    let mut kept = Vec::new();
    let plan = &run.prepared.plan;
    let recorded = match plan.from {
        _ if plan.kind == RunKind::Rollback => run.prepared.generation.unnamed_volumes.clone(),
        Some(from) if swap.old.is_empty() => run.session.generations.read(from)?.unnamed_volumes,
        _ => return Ok(kept),
    };
    for one in recorded.iter().filter(|one| one.service == swap.service && one.container == at) {
        if run.session.engine.has_volume(&one.volume).await? {
            let (source, target) = (one.volume.clone(), one.target.clone());
            kept.push(Mount { kind: MountKind::AnonymousVolume, source, target, writable: true });
        }
    }
    Ok(kept)
}

/// Whether a name is one of those that compose makes of project, service and number.
fn is_numbered(name: &str, service: &str) -> bool {
    let number = name.rsplit_once(&format!("{service}-")).or_else(|| name.rsplit_once(&format!("{service}_")));
    number.is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The name of a container that compose has made beside another, as the first, second … of its service.
fn numbered(name: &str, at: usize) -> String {
    let beginning = name.trim_end_matches(|c: char| c.is_ascii_digit());
    format!("{beginning}{}", at + 1)
}

/// What the new container has in place of volumes of its own, as compose has it: what stood there in the one that it replaces.
/// Before anything but a volume without a name comes what was `kept` for it.
fn inherited(new: &Container, old: Option<&Container>, kept: &[Mount]) -> Vec<Mount> {
    let place = |mount: &Mount| mount.target.trim_end_matches('/').to_owned();
    let own = new.mounts.iter().filter(|mount| mount.kind == MountKind::AnonymousVolume);
    own.filter_map(|own| {
        let of_old = || old.into_iter().flat_map(|old| &old.mounts).filter(|mount| mount.kind != MountKind::Other);
        let unnamed = of_old().filter(|mount| mount.kind != MountKind::Bind && is_unnamed(&mount.source));
        let mut there = unnamed.chain(kept).chain(of_old());
        let there = there.find(|mount| place(mount) == place(own))?;
        Some(Mount { target: own.target.clone(), ..there.clone() })
    })
    .collect()
}

/// Gives an old container the name that it has until it is removed. One that crashes again and again serves nobody; engines
/// before 23 rename it only once it is stopped.
async fn set_aside(engine: &Engine, old: &Container) -> Result<()> {
    let Err(fault) = engine.rename(&old.id, &retired(&old.name)).await else { return Ok(()) };
    let crashes = engine.container(&old.id).await?.is_some_and(|now| !now.is_running() || now.restarts > 0);
    if !crashes {
        return Err(fault);
    }
    engine.set_restart(&old.id, "no").await?;
    engine.stop(&old.id, None).await?;
    engine.rename(&old.id, &retired(&old.name)).await
}

/// Removes what was created and gives the old containers their names back.
pub(crate) async fn undo(session: &Session<'_>, project: &str, swaps: &[Swap]) -> Result<()> {
    for swap in swaps {
        for new in session.newer(project, &swap.service, &swap.old).await? {
            session.engine.remove(&new.id, true).await?;
        }
        for old in &swap.old {
            if session.engine.container(&old.id).await?.is_some() {
                session.engine.rename(&old.id, &old.name).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mounts(mounts: &[(MountKind, &str, &str)]) -> Container {
        let container = serde_json::json!({
            "id": "c", "name": "p-web-1", "service": "web", "number": 1, "config_hash": "", "image": "web", "image_id": "",
            "state": {"state": "running"}, "health": "none", "restarts": 0, "started_at": "", "networks": [], "ports": [],
        });
        let mut container: Container = serde_json::from_value(container).unwrap();
        let mount = |(kind, source, target): &(MountKind, &str, &str)| Mount {
            kind: *kind,
            source: (*source).to_owned(),
            target: (*target).to_owned(),
            writable: true,
        };
        container.mounts = mounts.iter().map(mount).collect();
        container
    }

    #[test]
    fn a_new_container_inherits_what_stood_where_it_has_a_volume_without_a_name() {
        use MountKind::{AnonymousVolume, Bind, Other, Volume};
        let old = with_mounts(&[
            (AnonymousVolume, "f00", "/data/"),
            (Bind, "/srv/up", "/uploads"),
            (Volume, "named", "/named"),
            (Other, "", "/tmp"),
        ]);
        let new = with_mounts(&[
            (AnonymousVolume, "n00", "/data"),
            (AnonymousVolume, "n01", "/uploads"),
            (AnonymousVolume, "n02", "/tmp"),
            (AnonymousVolume, "n03", "/fresh"),
            (Volume, "other", "/named"),
        ]);
        let told: Vec<_> =
            inherited(&new, Some(&old), &[]).into_iter().map(|mount| (mount.source, mount.target)).collect();
        assert_eq!(told, [("f00".into(), "/data".into()), ("/srv/up".into(), "/uploads".to_owned())]);
        let kept = Mount { kind: AnonymousVolume, source: "k00".into(), target: "/data".into(), writable: true };
        assert_eq!(inherited(&new, Some(&old), std::slice::from_ref(&kept))[0].source, "k00");
        let unnamed = "ab".repeat(32);
        let used_since = with_mounts(&[(Volume, &unnamed, "/data")]);
        assert_eq!(inherited(&new, Some(&used_since), std::slice::from_ref(&kept))[0].source, unnamed);
        assert_eq!(inherited(&new, None, &[kept]).len(), 1);
    }

    #[test]
    fn names_that_compose_makes_are_told_from_fixed_ones() {
        assert!(is_numbered("shop-web-1", "web") && is_numbered("shop_web_12", "web"));
        assert!(!is_numbered("web", "web") && !is_numbered("shop-web", "web") && !is_numbered("shop-web-one", "web"));
        assert_eq!(numbered("shop-web-2", 0), "shop-web-1");
    }

    #[test]
    fn composes_complaint_is_told_from_its_progress() {
        let said = " Network shop_default  Creating\n Container shop-web-1  Creating\n\
                    Error response from daemon: network edge not found\n";
        assert_eq!(complaint(said), "Error response from daemon: network edge not found");
    }
}
