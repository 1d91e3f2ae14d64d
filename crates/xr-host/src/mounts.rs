//! What a container has mounted, and which of its volumes the engine made for it alone.

use std::collections::BTreeSet;

use bollard::models::{HostConfig, MountPoint, MountType};
use xr_model::{Mount, MountKind};

/// The mounts of a container. A volume is anonymous when nothing that the container was made of names it: it is there for a
/// `VOLUME` of the image, or for a mount without a source.
pub(crate) fn of(
    points: Option<Vec<MountPoint>>,
    host: Option<&HostConfig>,
    declared: Option<&Vec<String>>,
) -> Vec<Mount> {
    let named = named(host);
    let asked = unnamed(host, declared);
    let mount = |point: MountPoint| {
        let target = point.destination?;
        let kind = match point.typ.as_deref()? {
            "volume" if !named.contains(plain(&target)) && asked.contains(plain(&target)) => MountKind::AnonymousVolume,
            "volume" => MountKind::Volume,
            "bind" => MountKind::Bind,
            _ => MountKind::Other,
        };
        let name = point.name.filter(|name| !name.is_empty());
        let source = if kind == MountKind::Bind { point.source } else { name.or(point.source) };
        Some(Mount { kind, source: source.unwrap_or_default(), target, writable: point.rw.unwrap_or(true) })
    };
    let mut mounts: Vec<Mount> = points.unwrap_or_default().into_iter().filter_map(mount).collect();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

/// A path in a container without a slash at its end.
pub(crate) fn plain(target: &str) -> &str {
    if target.len() > 1 { target.trim_end_matches('/') } else { target }
}

/// Where something is mounted that has a name: `source:target[:options]`, or a mount with a source.
fn named(host: Option<&HostConfig>) -> BTreeSet<&str> {
    let binds = host.and_then(|host| host.binds.as_ref()).into_iter().flatten();
    let of_binds = binds.filter_map(|bind| bind.split(':').nth(1));
    let mounts = host.and_then(|host| host.mounts.as_ref()).into_iter().flatten();
    let has_source = |mount: &&bollard::models::Mount| mount.source.as_ref().is_some_and(|source| !source.is_empty());
    let of_mounts = mounts.filter(has_source).filter_map(|mount| mount.target.as_deref());
    of_binds.chain(of_mounts).map(plain).collect()
}

/// Where a volume is asked for without a name.
fn unnamed<'a>(host: Option<&'a HostConfig>, declared: Option<&'a Vec<String>>) -> BTreeSet<&'a str> {
    let binds = host.and_then(|host| host.binds.as_ref()).into_iter().flatten();
    let of_binds = binds.filter(|bind| !bind.contains(':')).map(String::as_str);
    let mounts = host.and_then(|host| host.mounts.as_ref()).into_iter().flatten();
    let of_mounts = mounts
        .filter(|mount| mount.typ == Some(MountType::VOLUME) && mount.source.as_ref().is_none_or(String::is_empty))
        .filter_map(|mount| mount.target.as_deref());
    let of_image = declared.into_iter().flatten().map(String::as_str);
    of_binds.chain(of_mounts).chain(of_image).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_nobody_named_is_told_from_one_that_somebody_did() {
        let point = |typ: &str, name: &str, destination: &str| MountPoint {
            typ: Some(typ.to_owned()),
            name: Some(name.to_owned()),
            source: Some(format!("/srv/{name}")),
            destination: Some(destination.to_owned()),
            rw: Some(destination != "/read"),
            ..Default::default()
        };
        let volume = "volume";
        let points = vec![
            point(volume, "pgdata", "/data"),
            point(volume, "f00", "/image"),
            point(volume, "f01", "/compose"),
            point(volume, "lent", "/lent"),
            point("bind", "", "/bind"),
            point(volume, "bound", "/read"),
        ];
        let by_mount = |source: Option<&str>, target: &str| bollard::models::Mount {
            typ: Some(MountType::VOLUME),
            source: source.map(str::to_owned),
            target: Some(target.to_owned()),
            ..Default::default()
        };
        let host = HostConfig {
            binds: Some(vec!["/srv/:/bind".to_owned(), "bound:/read:ro".to_owned()]),
            mounts: Some(vec![by_mount(Some("pgdata"), "/data"), by_mount(None, "/compose/")]),
            ..Default::default()
        };
        // The image declares a place that the compose file gives a named volume too.
        let declared = vec!["/data".to_owned(), "/image".to_owned()];
        let found = of(Some(points), Some(&host), Some(&declared));
        let told: Vec<_> = found.iter().map(|m| (m.target.as_str(), m.kind, m.source.as_str(), m.writable)).collect();
        assert_eq!(
            told,
            [
                ("/bind", MountKind::Bind, "/srv/", true),
                ("/compose", MountKind::AnonymousVolume, "f01", true),
                ("/data", MountKind::Volume, "pgdata", true),
                ("/image", MountKind::AnonymousVolume, "f00", true),
                ("/lent", MountKind::Volume, "lent", true),
                ("/read", MountKind::Volume, "bound", false),
            ]
        );
    }
}
