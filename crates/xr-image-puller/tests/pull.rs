//! Pulling by digest from a registry that behaves.

mod world;

use std::{cell::RefCell, collections::BTreeSet};

use world::{Engine, Registry, brisk, image, mirrors, run, silent};
use xr_image_puller::{LayerStatus, PullError, Totals, pull, pull_all, resolve_all, resolve_digest, tag};
use xr_lab::Proxy;
use xr_model::ImageRef;

#[test]
fn the_pinned_content_is_pulled_and_named_even_when_the_tag_moved() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let (docker, sources) = (&engine.docker, mirrors(&[]));
    let reference = format!("{}/acme/server:v1.0.0", registry.host());
    let first = engine.publish(&reference, &[700, 3000]);
    let asked = run(resolve_digest(docker, &ImageRef::new(&reference), &sources, &brisk())).unwrap();
    assert_eq!(asked, first);

    // The tag is pushed again, and the engine holds the new content under it.
    let second = engine.publish(&reference, &[100]);
    assert_ne!(first, second);
    engine.cli(&["pull", "-q", &reference]);
    let other = engine.id(&reference);

    let totals = RefCell::new(Totals::default());
    let seen = RefCell::new(BTreeSet::new());
    let on = |progress: xr_image_puller::LayerProgress| {
        totals.borrow_mut().note(&progress);
        seen.borrow_mut().insert(progress.status.as_str());
    };
    let pinned = image(&reference, Some(&first));
    let pulled = run(pull(docker, &pinned, &sources, &brisk(), &on)).unwrap();
    assert_ne!(pulled.image_id, other);
    assert_eq!(engine.id(&reference), other, "what runs may be of the other content");
    run(tag(docker, &pulled.image_id, &pinned.reference)).unwrap();
    assert_eq!(engine.id(&reference), pulled.image_id);
    assert_eq!((pulled.digest.as_ref(), pulled.from), (Some(&first), format!("{}/acme/server", registry.host())));
    assert!(pulled.bytes > 3_600_000 && pulled.bytes < 4_000_000, "{}", pulled.bytes);
    let totals = totals.into_inner();
    assert_eq!((totals.current(), totals.total()), (pulled.bytes, pulled.bytes));
    for status in [LayerStatus::Downloading, LayerStatus::Extracting, LayerStatus::Done] {
        assert!(seen.borrow().contains(status.as_str()), "{status:?} in {seen:?}");
    }

    // An old tag is given back to the other content; what was pulled is still on the disk.
    run(tag(docker, &other, &ImageRef::new(&reference))).unwrap();
    assert_eq!(engine.id(&reference), other);
    drop(registry);
    let again = run(pull(docker, &pinned, &sources, &brisk(), &silent)).unwrap();
    assert_eq!((again.from.as_str(), again.bytes, again.image_id), ("disk", 0, pulled.image_id));
    assert_eq!(engine.id(&reference), other);
}

#[test]
fn an_image_on_the_disk_costs_the_registry_no_request() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let proxy = Proxy::before(registry.port).expect("a port");
    let (docker, sources) = (&engine.docker, mirrors(&[]));
    let digest = engine.publish(&format!("{}/acme/a:v1", registry.host()), &[50]);
    // Known under another registry's name only: content is content.
    engine.cli(&["pull", "-q", &format!("{}/acme/a@{digest}", registry.host())]);
    let reference = format!("{}/acme/a:v1", proxy.host());
    let pulled = run(pull(docker, &image(&reference, Some(&digest)), &sources, &brisk(), &silent)).unwrap();
    assert_eq!(pulled.from, "disk");
    assert_eq!(engine.id(&reference), pulled.image_id);
    assert_eq!(proxy.log(), Vec::<String>::new());
    // An image without a digest was built here: never fetched.
    engine.cli(&["tag", &pulled.image_id, "local/built:dev"]);
    let built = run(pull(docker, &image("local/built:dev", None), &sources, &brisk(), &silent)).unwrap();
    assert_eq!((built.from.as_str(), built.digest), ("disk", None));
}

#[test]
fn many_images_come_together_or_the_first_error_is_told() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let (docker, sources) = (&engine.docker, mirrors(&[]));
    let host = registry.host();
    let names: Vec<_> = (0..6).map(|i| format!("{host}/acme/s{i}:v1")).collect();
    let mut images: Vec<_> = names.iter().map(|name| image(name, Some(&engine.publish(name, &[80])))).collect();

    let missing = ImageRef::new(format!("{host}/acme/nowhere:v1"));
    let mut references: Vec<_> = images.iter().map(|image| image.reference.clone()).collect();
    references.insert(2, missing.clone());
    let answers = run(resolve_all(docker, &references, &sources, &brisk()));
    assert_eq!(answers.iter().map(|(image, _)| image.clone()).collect::<Vec<_>>(), references);
    for (reference, answer) in &answers {
        match images.iter().find(|image| image.reference == *reference) {
            Some(image) => assert_eq!(answer.as_ref().ok(), image.digest.as_ref()),
            None => assert!(matches!(answer, Err(PullError::Missing(_))), "{answer:?}"),
        }
    }

    let seen = RefCell::new(BTreeSet::new());
    let pulled = run(pull_all(docker, &images, &sources, &brisk(), &|index, _| {
        seen.borrow_mut().insert(index);
    }))
    .unwrap();
    assert_eq!(seen.into_inner().len(), 6);
    for (image, pulled) in images.iter().zip(&pulled) {
        assert_eq!(image.digest, pulled.digest);
        assert_eq!(engine.id(image.reference.as_str()), pulled.image_id);
    }

    engine.forget_all();
    for index in [1, 3] {
        images[index].digest.as_mut().unwrap().0 = format!("sha256:{}", "0".repeat(64));
    }
    for _ in 0..3 {
        let error = run(pull_all(docker, &images, &sources, &brisk(), &|_, _| {})).unwrap_err();
        assert!(matches!(&error, PullError::Missing(_)), "{error:?}");
        let fault = error.into_fault();
        assert!(fault.message.contains(&names[1]), "{}", fault.message);
        assert!(fault.hint.is_some());
    }
}
