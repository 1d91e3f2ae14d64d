//! Pulling from a registry that misbehaves, through a proxy that sees to it.

mod world;

use std::{cell::Cell, ops::RangeInclusive, time::Duration};

use world::{Engine, Registry, brisk, image, mirrors, run, silent, wait_until};
use xr_image_puller::{
    Credentials, LayerProgress, LayerStatus, PullError, Pulled, Retry, Sources, pull, resolve_digest,
};
use xr_lab::{Proxy, Trouble};
use xr_model::ImageRef;

type Is = fn(&PullError) -> bool;

/// As [`brisk`], and soon out of patience.
fn hasty() -> Retry {
    Retry { patience: Duration::from_secs(3), ..brisk() }
}

/// A registry behind a proxy, and what pulls from it come to.
struct Stage {
    engine: Engine,
    registry: Registry,
    proxy: Proxy,
}

impl Stage {
    fn set() -> Self {
        let registry = Registry::start();
        Self { engine: Engine::start(), proxy: Proxy::before(registry.port).expect("a port"), registry }
    }

    fn reference(&self) -> String {
        format!("{}/acme/a:v1", self.proxy.host())
    }

    /// Pulls new content through trouble: the engine keeps manifests that it has seen, even of images it has removed.
    /// Returns how often we, not the engine, tried again.
    fn pull(&self, on: &'static str, times: usize, kind: Trouble, attempts: u32) -> (Result<Pulled, PullError>, usize) {
        self.engine.forget_all();
        let digest = self.engine.publish(&format!("{}/acme/a:v1", self.registry.host()), &[500]);
        self.proxy.trouble(on, times, kind);
        let (retries, retry) = (Cell::new(0), Retry { attempts, ..hasty() });
        let note = |progress: LayerProgress| {
            // The engine's own tries carry a layer's id.
            if progress.status == LayerStatus::Retrying && progress.layer == self.proxy.host() {
                retries.set(retries.get() + 1);
            }
        };
        let result =
            run(pull(&self.engine.docker, &image(&self.reference(), Some(&digest)), &mirrors(&[]), &retry, &note));
        (result, retries.get())
    }

    /// Trouble that passes is overcome.
    fn passes(&self, on: &'static str, times: usize, kind: Trouble) -> usize {
        let (result, retries) = self.pull(on, times, kind.clone(), 9);
        assert!(result.is_ok(), "{kind:?} on {on}: {result:?}\n{:#?}", self.proxy.log());
        assert!(self.engine.has(&self.reference()));
        retries
    }

    /// Trouble that stays is told, after so many tries of our own, and leaves nothing under the image's name.
    fn stays(&self, on: &'static str, kind: Trouble, is: Is, attempts: u32, expected: RangeInclusive<usize>) {
        let (result, retries) = self.pull(on, 1000, kind.clone(), attempts);
        let error = result.expect_err(&format!("{kind:?} on {on}: {:#?}", self.proxy.log()));
        assert!(is(&error), "{kind:?} on {on}: {error:?}");
        assert!(expected.contains(&retries), "{retries} for {kind:?} on {on}: {error:?}");
        let fault = error.into_fault();
        assert!(
            fault.message.contains(&self.reference()) && fault.message.contains(&self.proxy.host()),
            "{}",
            fault.message
        );
        assert!(!self.engine.has(&self.reference()), "{kind:?} on {on}");
    }
}

const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
const UNAUTHORIZED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
const SLOW_DOWN: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;

#[test]
fn a_manifest_is_asked_for_again_only_when_that_may_help() {
    let stage = Stage::set();
    for kind in [
        Trouble::Answer("500 Internal Server Error", ""),
        Trouble::Answer("503 Service Unavailable", "<html>"),
        Trouble::Answer("429 Too Many Requests", SLOW_DOWN),
    ] {
        assert!((1..=5).contains(&stage.passes("/manifests/", 5, kind.clone())), "{kind:?}");
    }
    stage.stays(
        "/manifests/",
        Trouble::Answer("429 Too Many Requests", ""),
        |e| matches!(e, PullError::RateLimited(_)),
        3,
        // By time, not by rounds.
        3..=60,
    );
    stage.stays(
        "/manifests/",
        Trouble::Answer("401 Unauthorized", UNAUTHORIZED),
        |e| matches!(e, PullError::Denied(_)),
        3,
        0..=0,
    );
    stage.stays(
        "/manifests/",
        Trouble::Answer("403 Forbidden", DENIED),
        |e| matches!(e, PullError::Denied(_)),
        3,
        0..=0,
    );
    stage.stays("/manifests/", Trouble::Garble, |e| matches!(e, PullError::DigestMismatch(_)), 3, 0..=0);

    // The same words in answer to a question.
    let image = ImageRef::new(stage.reference());
    let ask = || run(resolve_digest(&stage.engine.docker, &image, &mirrors(&[]), &hasty()));
    let trouble = |times, status, body| stage.proxy.trouble("/manifests/", times, Trouble::Answer(status, body));
    trouble(1000, "403 Forbidden", DENIED);
    assert!(matches!(ask(), Err(PullError::Denied(_))), "{:?}", ask());
    trouble(1000, "429 Too Many Requests", "");
    assert!(matches!(ask(), Err(PullError::RateLimited(_))), "{:?}", ask());
    trouble(1000, "500 Internal Server Error", "");
    assert!(matches!(ask(), Err(PullError::Unreachable(_))), "{:?}", ask());
    trouble(1, "500 Internal Server Error", "");
    assert!(ask().is_ok());
}

#[test]
fn a_layer_that_breaks_off_is_completed_and_a_wrong_one_refused() {
    let stage = Stage::set();
    stage.passes("/blobs/", 2, Trouble::Cut(100_000));
    stage.stays("/blobs/", Trouble::Cut(0), |e| matches!(e, PullError::Unreachable(_)), 2, 1..=1);
    stage.stays("/blobs/", Trouble::Garble, |e| matches!(e, PullError::DigestMismatch(_)), 3, 0..=0);
}

#[test]
fn a_registry_that_comes_back_is_waited_for() {
    let (mut registry, engine) = (Registry::start(), Engine::start());
    let reference = format!("{}/acme/a:v1", registry.host());
    let digest = engine.publish(&reference, &[200]);
    registry.down();
    let sources = mirrors(&[]);
    let patient = Retry { attempts: 100, ..brisk() };
    let pinned = image(&reference, Some(&digest));
    let started = Cell::new(false);
    let registry = std::cell::RefCell::new(registry);
    let pulled = run(pull(&engine.docker, &pinned, &sources, &patient, &|progress| {
        if progress.status == LayerStatus::Retrying && !started.replace(true) {
            registry.borrow_mut().up();
        }
    }));
    assert_eq!(pulled.unwrap().digest, Some(digest));
    assert!(started.get());

    engine.forget_all();
    registry.borrow_mut().down();
    let error = run(pull(&engine.docker, &pinned, &sources, &brisk(), &silent)).unwrap_err();
    assert!(matches!(&error, PullError::Unreachable(_)), "{error:?}");
    let error = run(resolve_digest(&engine.docker, &pinned.reference, &sources, &brisk())).unwrap_err();
    assert!(matches!(&error, PullError::Unreachable(_)), "{error:?}");
}

#[test]
fn silence_ends_and_a_dropped_pull_stops() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let proxy = Proxy::before(registry.port).expect("a port");
    let digest = engine.publish(&format!("{}/acme/a:v1", registry.host()), &[500]);
    let pinned = image(&format!("{}/acme/a:v1", proxy.host()), Some(&digest));
    let sources = mirrors(&[]);

    proxy.trouble("/blobs/", 1, Trouble::Hang);
    let strict = Retry { attempts: 1, patience: Duration::from_millis(700), ..brisk() };
    let error = run(pull(&engine.docker, &pinned, &sources, &strict, &silent)).unwrap_err();
    assert!(
        matches!(&error, PullError::Unreachable(failure) if failure.detail.contains("no progress for 0.7 s")),
        "{error:?}"
    );

    proxy.trouble("/blobs/", 1000, Trouble::Hang);
    run(async {
        let retry = brisk();
        let cancelled = pull(&engine.docker, &pinned, &sources, &retry, &silent);
        assert!(tokio::time::timeout(Duration::from_millis(400), cancelled).await.is_err());
    });
    // The next pull asks anew and succeeds. (Engine 20.10 may first wait for the abandoned request for that layer to end.)
    proxy.behave();
    run(pull(&engine.docker, &pinned, &sources, &brisk(), &silent)).unwrap();
    wait_until("the log", || proxy.asked("/blobs/") >= 1);
}

#[test]
fn a_login_from_the_docker_config_opens_a_private_registry() {
    let (registry, engine) = (Registry::start(), Engine::start());
    let proxy = Proxy::before(registry.port).expect("a port");
    let digest = engine.publish(&format!("{}/acme/a:v1", registry.host()), &[50]);
    let reference = format!("{}/acme/a:v1", proxy.host());
    // "me:p?w??~w~~>w>>": letters that the two alphabets of base64 write differently, wherever they stand.
    proxy.trouble("/v2/", 1000, Trouble::Demand("Basic bWU6cD93Pz9+d35+Pnc+Pg=="));
    let pinned = image(&reference, Some(&digest));
    let error = run(pull(&engine.docker, &pinned, &mirrors(&[]), &brisk(), &silent)).unwrap_err();
    assert!(matches!(&error, PullError::Denied(_)), "{error:?}");
    let error = run(resolve_digest(&engine.docker, &pinned.reference, &mirrors(&[]), &brisk())).unwrap_err();
    assert!(matches!(&error, PullError::Denied(_)), "{error:?}");

    let folder = tempfile::TempDir::new().unwrap();
    let config = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6cD93Pz9+d35+Pnc+Pg=="}}}}}}"#, proxy.host());
    #[allow(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let sources = Sources::new(&[], Credentials::in_folder(folder.path())).unwrap();
    assert_eq!(run(resolve_digest(&engine.docker, &pinned.reference, &sources, &brisk())).unwrap(), digest);
    run(pull(&engine.docker, &pinned, &sources, &brisk(), &silent)).unwrap();
}
