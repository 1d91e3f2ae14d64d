//! What goes and what stays.

use super::*;
use xr_model::{Digest, GENERATION_FORMAT, ImageRef, Invocation, Mode, PinnedImage, RunKind};

fn image(reference: &str, id: &str, versioned: bool) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::new(reference),
        digest: Some(Digest(format!("sha256:{id}"))),
        image_id: id.to_owned(),
        services: vec![],
        versioned,
    }
}

fn generation(number: u32, parent: Option<u32>, images: Vec<PinnedImage>) -> Generation {
    Generation {
        ended: Vec::new(),
        unnamed_volumes: Vec::new(),
        networks_made: std::collections::BTreeMap::new(),
        networks: std::collections::BTreeMap::new(),
        config_hashes: std::collections::BTreeMap::new(),
        format: GENERATION_FORMAT,
        number,
        parent,
        made_by: RunKind::Update,
        version: format!("v1.{number}.0").parse().unwrap(),
        version_id: String::new(),
        commit: None,
        branch: None,
        applied_at: String::new(),
        mode: Mode::Production,
        invocation: Invocation::default(),
        services: vec![],
        images,
        changes: vec![],
        verified: vec![],
    }
}

fn local(id: &str, tags: &[&str]) -> LocalImage {
    LocalImage {
        id: id.to_owned(),
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        repo_digests: vec![],
        size: 1,
    }
}

fn engine_container(project: &str, image: &str, image_id: &str) -> EngineContainer {
    EngineContainer {
        id: "c".to_owned(),
        name: "c".to_owned(),
        project: project.to_owned(),
        folder: String::new(),
        one_off: false,
        image: image.to_owned(),
        image_id: image_id.to_owned(),
        volumes: Vec::new(),
    }
}

#[test]
fn the_present_generation_and_its_parent_stay_however_old() {
    let all: Vec<_> = (1..=6).map(|n| generation(n, Some(n - 1), vec![])).collect();
    let numbers = |current: usize, keep| kept(&all, &all[current], keep).into_iter().collect::<Vec<_>>();
    assert_eq!(numbers(5, 3), [4, 5, 6]);
    assert_eq!(numbers(5, 0), [5, 6]);
    assert_eq!(numbers(1, 3), [1, 2, 6]); // after a rollback
    assert_eq!(numbers(0, 1), [1]); // the parent is gone already
}

#[test]
fn an_image_goes_when_no_kept_generation_and_no_container_has_it() {
    let old = generation(1, None, vec![image("acme/server:v1.0.0", "a", true), image("redis:6", "r6", false)]);
    let new = generation(2, Some(1), vec![image("acme/server:v1.1.0", "b", true), image("redis:7", "r7", false)]);
    let images = [
        local("a", &["acme/server:v1.0.0"]),
        local("b", &["acme/server:v1.1.0"]),
        local("c", &["acme/server:v0.9.0"]),
        local("d", &["acme/server:v0.8.0"]),
        local("e", &["acme/server:v0.7.0", "mine:latest"]),
        local("r5", &["redis:5"]),
        local("r6", &["redis:6"]),
        local("r7", &["redis:7"]),
        local("x", &["stranger:1"]),
        local("y", &[]),
    ];
    let running = [engine_container("p", "acme/server:v1.1.0", "b"), engine_container("p", "acme/server:v0.8.0", "d")];
    let gone = |engine_containers: &[EngineContainer]| {
        let (old, shared) = old_images(&[&new], &[&old], &images, engine_containers, "p");
        (old.into_iter().map(|image| image.id).collect::<Vec<_>>(), shared)
    };
    assert_eq!(gone(&running), (vec!["a".to_owned(), "c".to_owned(), "r6".to_owned()], vec![]));

    // Another stack of the same product keeps its own generations, and the worker that no container shows.
    let own = ["acme/server", "acme/worker"].into();
    let theirs = [engine_container("q", "acme/server:v1.1.0", "b")];
    assert!(names_of_others(&own, &images, &theirs, "p").contains("acme/worker"));
    assert!(!names_of_others(&own, &images, &theirs, "q").contains("acme/worker"));
    let with_another = [running.as_slice(), &[engine_container("q", "acme/server:v1.1.0", "b")]].concat();
    assert_eq!(gone(&with_another), (vec!["r6".to_owned()], vec!["acme/server".to_owned()]));
}

#[test]
fn the_newest_backups_of_each_kind_stay_and_what_a_kept_generation_needs_for_its_data() {
    let gone = |stay: &[u32]| {
        let names = [
            "20260101T000000-g1-a.sql",
            "20260101T000000-g1-a.sql.sha256",
            "20260102T000000-g1-a.sql",
            "20260102T000000-g1-b-c.sql",
            "20260103T000000-g2-a.sql",
            "20260104T000000-g3-a.part",
            "20260104T000000-g3-a.sql",
            "20260104T000000-g3-a.sql.sha256",
            "20260105T000000-g3-a.sql.sha256",
            "the-admins-own.sql",
        ];
        let files = names.iter().map(|name| (PathBuf::from(name), 1)).collect();
        let gone = past(files, 2, &stay.iter().copied().collect()).into_iter();
        gone.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>()
    };
    let always = ["20260101T000000-g1-a.sql", "20260101T000000-g1-a.sql.sha256"];
    let rubbish = ["20260104T000000-g3-a.part", "20260105T000000-g3-a.sql.sha256"];
    assert_eq!(gone(&[2, 3]), [&always[..], &["20260102T000000-g1-a.sql"], &rubbish].concat());
    assert_eq!(gone(&[1, 2, 3]), [&always[..], &rubbish].concat());
}

#[test]
fn of_backups_the_newest_is_that_of_the_newest_run_whatever_the_clock_said() {
    // The clock was set back before run 8; the first name is of before runs had numbers.
    let names = [
        "20260101T000000-g1-a.sql",
        "000007-20260105T000000-g1-a.sql",
        "000008-20250102T000000-g1-a.sql",
        "000009-20250103T000000-g1-b-c.sql",
    ];
    let files = names.iter().map(|name| (PathBuf::from(name), 1)).collect();
    let gone: Vec<_> = past(files, 1, &BTreeSet::new()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(gone, names[..2].iter().map(PathBuf::from).collect::<Vec<_>>());
}

#[test]
fn a_build_that_lost_its_name_is_ours_when_a_generation_recorded_it() {
    let built = |id: &str| PinnedImage { digest: None, ..image("acme/app:latest", id, false) };
    let recorded = [built("old"), built("new"), built("theirs"), image("redis:7", "pulled", false)];
    let nameless = |id: &str| LocalImage { id: id.to_owned(), tags: vec![], repo_digests: vec![], size: 1 };
    let named = LocalImage { tags: vec!["acme/app:latest".to_owned()], ..nameless("new") };
    let local = [nameless("old"), named, nameless("theirs"), nameless("pulled"), nameless("a stranger's")];
    let engine_containers = [engine_container("other", "theirs", "theirs"), engine_container("ours", "old", "old")];
    assert_eq!(untagged_builds(&recorded, &local, &engine_containers, "ours"), ["old"]);
}
