//! Where images come from when their registry does not answer.

mod world;

use world::{Engine, Registry, brisk, free_port, image, mirrors, run, silent};
use xr_image_puller::{PullError, pull, resolve_digest};
use xr_lab::{Proxy, Trouble};
use xr_model::ImageRef;

#[test]
fn a_mirror_stands_in_for_a_dead_registry() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let docker = &engine.docker;
    let digest = engine.publish(&format!("{}/copies/acme/a:v1", registry.host()), &[300, 20]);
    let dead = format!("127.0.0.1:{}", free_port());
    let reference = format!("{dead}/acme/a:v1");
    let also_dead = format!("{dead}=127.0.0.1:{}", free_port());
    let sources = mirrors(&[&also_dead, &format!("{dead}={}/copies", registry.host())]);
    assert_eq!(run(resolve_digest(docker, &ImageRef::new(&reference), &sources, &brisk())).unwrap(), digest);

    let pinned = image(&reference, Some(&digest));
    let started = std::time::Instant::now();
    let pulled = run(pull(docker, &pinned, &sources, &brisk(), &silent)).unwrap();
    assert!(started.elapsed().as_secs() < 10);
    assert_eq!(pulled.from, format!("{}/copies/acme/a", registry.host()));
    assert_eq!(engine.id(&reference), pulled.image_id);
    assert!(!engine.has(&format!("{}:v1", pulled.from)), "the mirror's tag stayed");
    // Found again by digest, although no registry answers by that name.
    let again = run(pull(docker, &pinned, &sources, &brisk(), &silent)).unwrap();
    assert_eq!(again.from, "disk");

    // By its tag only: the mirror's tag is not left behind.
    engine.forget_all();
    let by_tag = run(pull(docker, &image(&reference, None), &sources, &brisk(), &silent)).unwrap();
    assert_eq!(by_tag.digest, Some(digest.clone()));
    assert!(engine.has(&reference) && !engine.has(&format!("{}:v1", by_tag.from)));

    // Neither has it: the registry as written is to blame, the mirrors' words stand behind.
    let error =
        run(resolve_digest(docker, &ImageRef::new(format!("{dead}/acme/b:v1")), &sources, &brisk())).unwrap_err();
    assert!(
        matches!(&error, PullError::Unreachable(failure) if failure.detail.contains("manifest unknown")),
        "{error:?}"
    );
}

#[test]
fn a_mirror_that_serves_other_content_is_passed_over() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let proxy = Proxy::before(registry.port).expect("a port");
    let digest = engine.publish(&format!("{}/acme/a:v1", registry.host()), &[300]);
    let dead = format!("127.0.0.1:{}", free_port());
    let pinned = image(&format!("{dead}/acme/a:v1"), Some(&digest));
    let (bad, good) = (format!("{dead}={}", proxy.host()), format!("{dead}={}", registry.host()));
    proxy.trouble("/blobs/", 1000, Trouble::Garble);
    let pulled = run(pull(&engine.docker, &pinned, &mirrors(&[&bad, &good]), &brisk(), &silent)).unwrap();
    assert_eq!(pulled.from, format!("{}/acme/a", registry.host()));
    assert!(proxy.asked("/blobs/") > 0);
}

#[test]
fn docker_hub_is_asked_through_the_engines_own_mirrors() {
    let registry = Registry::start();
    let dead = format!("127.0.0.1:{}", free_port());
    let maker = Engine::start();
    let digest = maker.publish(&format!("{}/library/postgres:15", registry.host()), &[200]);
    maker.publish(&format!("{}/acme/server:v1", registry.host()), &[200]);
    let sources = mirrors(&[]);

    for own in [vec![registry.host()], vec![dead.clone(), registry.host()]] {
        let engine = Engine::with_registry_mirrors(&own);
        let docker = &engine.docker;
        assert_eq!(
            run(resolve_digest(docker, &ImageRef::new("postgres:15"), &sources, &brisk())).unwrap(),
            digest,
            "{own:?}"
        );
        assert!(run(resolve_digest(docker, &ImageRef::new("acme/server:v1"), &sources, &brisk())).is_ok());
        let pulled = run(pull(docker, &image("postgres:15", Some(&digest)), &sources, &brisk(), &silent)).unwrap();
        assert_eq!((pulled.from.as_str(), engine.id("postgres:15")), ("postgres", pulled.image_id));
        // The mirror does not have it; Docker Hub, out of reach here, was asked as well.
        let error = run(resolve_digest(docker, &ImageRef::new("acme/nowhere:v1"), &sources, &brisk())).unwrap_err();
        assert!(
            matches!(&error, PullError::Missing(failure) if failure.detail.contains("registry-1.docker.io")),
            "{error:?}"
        );
    }

    // An engine without mirrors, and ours.
    let pinned = image("postgres:15", Some(&digest));
    let ours = mirrors(&[&dead, &registry.host()]);
    assert_eq!(run(resolve_digest(&maker.docker, &pinned.reference, &ours, &brisk())).unwrap(), digest);
    let pulled = run(pull(&maker.docker, &pinned, &ours, &brisk(), &silent)).unwrap();
    assert_eq!(pulled.from, format!("{}/library/postgres", registry.host()));
    assert_eq!(maker.id("postgres:15"), pulled.image_id);
}
