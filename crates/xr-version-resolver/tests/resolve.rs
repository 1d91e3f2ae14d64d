//! Which release is found, against real repositories.
#![allow(clippy::disallowed_methods)]

mod world;

use std::fs;

use world::{World, git, snapshot, version};
use xr_host::Cmd;
use xr_model::exit;
use xr_version_resolver::{Channel, Checkout, Follow, Request, Source, resolve, resolve_install};

fn at(text: &str, commit: Option<&str>) -> Request {
    Request { current: Some((version(text), commit.map(str::to_owned))), ..Request::default() }
}

fn to(text: &str, request: Request) -> Request {
    Request { to: Some(version(text)), ..request }
}

#[test]
fn the_newest_tag_wins_over_its_own_older_version_file() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let commit = world.release("v1.2.0");
    git(&world.publisher, &["tag", "latest"]);
    git(&world.publisher, &["tag", "v2.0.0-dev.1"]);
    let before = snapshot(&world.clone.join("docker"));
    let found = world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves");
    assert_eq!((found.version.as_str(), found.commit.as_deref()), ("v1.2.0", Some(commit.as_str())));
    assert_eq!(found.source, Source::Tag("v1.2.0".into()));
    assert!(found.notes[0].contains("says v1.1.0") && !found.unchanged, "{:?}", found.notes);
    assert_eq!(snapshot(&world.clone.join("docker")), before);
    let dev = world.resolve(&checkout, &Request { channel: Channel::Dev, ..at("v1.1.0", None) }).expect("resolves");
    assert_eq!(dev.version.as_str(), "v2.0.0-dev.1");
    let held =
        world.resolve(&checkout, &Request { constraint: "~1.1".parse().ok(), ..at("v1.0.0", None) }).expect("resolves");
    assert_eq!(held.version.as_str(), "v1.1.0");
}

#[test]
fn when_nothing_is_new_one_process_says_so() {
    let world = World::new();
    world.clone(&[]);
    let (checkout, log) = world.counted();
    let found = world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves");
    assert!(found.unchanged && found.moved.is_none());
    let calls = fs::read_to_string(&log).expect("log");
    let own: Vec<&str> = calls.lines().filter(|line| line.starts_with("-c ")).collect();
    assert!(own.len() == 1 && own[0].contains("ls-remote"), "{calls}");
    let install = Request::default();
    fs::remove_file(&log).expect("log");
    assert_eq!(resolve_install(&world.clone, Some(&checkout), &install).expect("installs").version.as_str(), "v1.1.0");
    assert!(!fs::read_to_string(&log).expect("log").contains("ls-remote"), "an install as it stands needs no network");
}

#[test]
fn either_spelling_is_found_and_the_tag_s_is_returned() {
    let world = World::new();
    let checkout = world.clone(&["--no-tags"]);
    let found = world.resolve(&checkout, &to("1.1.0", at("v1.0.0", None))).expect("resolves");
    assert_eq!(found.version.as_str(), "v1.1.0");
    git(&world.publisher, &["tag", "1.5.0"]);
    assert_eq!(
        world.resolve(&checkout, &to("v1.5.0", at("v1.0.0", None))).expect("resolves").version.as_str(),
        "1.5.0"
    );
}

#[test]
fn an_unknown_version_lists_known_ones() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let fault = world.resolve(&checkout, &to("v9.9.9", Request::default())).expect_err("unknown");
    assert!(fault.message.contains("v9.9.9; near it are v1.1.0, v1.0.0"), "{}", fault.message);
    assert_eq!(fault.hint.as_deref(), Some("xr update --to v1.1.0"));
}

#[test]
fn an_older_version_is_never_silent() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let found = world.resolve(&checkout, &at("v1.2.0", Some("abc"))).expect("resolves");
    assert!(found.unchanged && found.version.as_str() == "v1.2.0" && found.notes[0].contains("nothing is downgraded"));
    let fault = world.resolve(&checkout, &to("v1.0.0", at("v1.1.0", None))).expect_err("downgrade");
    assert!(fault.hint.expect("hint").contains("xr rollback --to v1.0.0"));
    let asked = Request { allow_downgrade: true, ..to("v1.0.0", at("v1.1.0", None)) };
    assert!(!world.resolve(&checkout, &asked).expect("allowed").unchanged);
}

#[test]
fn a_broken_remote_is_an_error_and_changes_nothing() {
    let world = World::new();
    let checkout = world.clone(&[]);
    world.release("v1.2.0");
    for (url, code) in [
        ("/nonexistent/publisher.git", exit::FAILED),
        ("git://127.0.0.1:1/publisher.git", exit::TRY_LATER),
        ("http://me:secret@127.0.0.1:1/publisher.git", exit::TRY_LATER),
    ] {
        git(&world.clone, &["remote", "set-url", "origin", url]);
        let before = snapshot(&world.clone);
        let fault = world.resolve(&checkout, &at("v1.1.0", None)).expect_err(url);
        assert_eq!(fault.code, code, "{}", fault.chain());
        assert!(
            fault.hint.as_ref().expect("hint").contains("remote -v") && !fault.chain().contains("secret"),
            "{}",
            fault.chain()
        );
        assert_eq!(snapshot(&world.clone), before, "{url}");
    }
    let offline = world.resolve(&checkout, &to("v1.1.0", at("v1.0.0", None))).expect("the tag is here");
    assert!(offline.notes[0].contains("does not answer") && offline.commit.is_some());
    git(&world.clone, &["remote", "remove", "origin"]);
    let fault = world.resolve(&checkout, &at("v1.1.0", None)).expect_err("no remote");
    assert!(fault.hint.expect("hint").contains("remote add origin"));
}

#[test]
fn a_release_that_a_broken_fetch_left_half_here_is_fetched_whole() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let commit = world.release("v1.2.0");
    // What `git fetch` leaves when it is killed in the middle of a small pack: the commit, and nothing that it leads to.
    let text = git(&world.publisher, &["cat-file", "commit", &commit]) + "\n";
    let write = Cmd::new("git").args(["hash-object", "-t", "commit", "-w", "--stdin"]).cwd(&world.clone).stdin(text);
    assert_eq!(write.ok().expect("writes").text(), commit);
    world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves");
    assert_eq!(git(&world.clone, &["show", &format!("{commit}:docker/docker-compose.yml")]), "# v1.2.0");

    // What is here whole needs no network, whoever brought it.
    let commit = world.release("v1.3.0");
    git(&world.clone, &["fetch", "-q"]);
    let (checkout, log) = world.counted();
    world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves");
    assert!(!fs::read_to_string(&log).expect("log").contains(" fetch "));
    assert_eq!(git(&world.clone, &["rev-parse", &format!("refs/xr/tags/v1.3.0/{commit}")]), commit);
}

#[test]
fn a_branch_without_tags_is_followed_commit_by_commit() {
    let world = World::bare();
    let checkout = world.clone(&[]);
    let tip = world.publish("VERSION", "v1.0.0\n");
    let found = world.resolve(&checkout, &at("v0.9.0", None)).expect("resolves");
    assert_eq!((found.version.as_str(), found.commit.as_deref()), ("v1.0.0", Some(tip.as_str())));
    assert_eq!(found.source, Source::Branch("main".into()));
    assert!(world.resolve(&checkout, &at("v1.0.0", Some(&tip))).expect("resolves").unchanged);
    let next = world.publish("compose.yml", "x\n");
    let found = world.resolve(&checkout, &at("v1.0.0", Some(&tip))).expect("resolves");
    assert!(!found.unchanged && found.commit == Some(next) && found.notes[0].contains("main moved"));
    world.publish("VERSION", "v0.8.0\n");
    let found = world.resolve(&checkout, &at("v1.0.0", Some(&tip))).expect("resolves");
    assert!(found.unchanged && found.notes[0].contains("VERSION on main is at v0.8.0"), "{:?}", found.notes);
    world.publish("VERSION", "v2\nv3\n");
    let fault = world.resolve(&checkout, &at("v1.0.0", Some(&tip))).expect_err("two lines");
    assert!(fault.message.contains("origin/main:VERSION:2"), "{}", fault.message);
    let fault = world
        .resolve(&checkout, &Request { branch: Some("none".into()), ..at("v1.0.0", None) })
        .expect_err("no branch");
    assert!(fault.message.contains("no branch `none`"), "{}", fault.message);
}

#[test]
fn a_followed_branch_leads_to_the_tag_of_its_version() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let commit = world.release("v1.2.0");
    git(&world.clone, &["checkout", "-q", "--detach"]);
    let request = Request { follow: Follow::Branch, ..at("v1.1.0", None) };
    let found = world.resolve(&checkout, &request).expect("resolves");
    assert_eq!((found.version.as_str(), found.commit), ("v1.2.0", Some(commit)));
}

#[test]
fn a_re_pushed_tag_is_noticed_and_the_admin_s_tag_is_left_alone() {
    let world = World::new();
    for clone_args in [&["--no-tags"][..], &[]] {
        let _ = fs::remove_dir_all(&world.clone);
        let checkout = world.clone(clone_args);
        let old = world.resolve(&checkout, &at("v1.0.0", None)).expect("resolves").commit.expect("commit");
        let tags = git(&world.clone, &["tag"]);
        let now = world.publish("hotfix", &format!("{}\n", clone_args.len()));
        git(&world.publisher, &["tag", "-f", "-a", "-m", "again", "v1.1.0"]);
        let found = world.resolve(&checkout, &at("v1.1.0", Some(&old))).expect("resolves");
        assert!(found.unchanged && found.moved.as_deref() == Some(&now) && found.commit == Some(old), "{found:?}");
        assert!(found.notes[0].contains("re-pushed"));
        checkout.fetch(&found.source, &now).expect("fetches");
        assert_eq!(checkout.read(&now, "hotfix").expect("reads"), Some(format!("{}\n", clone_args.len()).into_bytes()));
        let refreshed = world.resolve(&checkout, &at("v1.1.0", Some(&now))).expect("resolves");
        assert!(refreshed.unchanged && refreshed.moved.is_none());
        assert_eq!(git(&world.clone, &["tag"]), tags);
    }
}

#[test]
fn an_install_takes_the_tree_as_it_stands() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let tip = git(&world.clone, &["rev-parse", "HEAD"]);
    git(&world.clone, &["remote", "set-url", "origin", "/nonexistent"]);
    let found = resolve_install(&world.clone, Some(&checkout), &Request::default()).expect("installs");
    assert_eq!(
        (found.version.as_str(), found.commit, found.source),
        ("v1.1.0", Some(tip), Source::Branch("main".into()))
    );
    git(&world.clone, &["checkout", "-q", "v1.1.0"]);
    let found = resolve_install(&world.clone, Some(&checkout), &Request::default()).expect("installs");
    assert_eq!((found.version.as_str(), found.source), ("v1.1.0", Source::Tag("v1.1.0".into())));
    assert!(found.notes[0].contains("says v1.0.0; the tag counts"), "{:?}", found.notes);
    let again =
        resolve_install(&world.clone, Some(&checkout), &at("v1.1.0", found.commit.as_deref())).expect("installs");
    assert!(again.unchanged);
}

#[test]
fn a_bundle_is_what_its_version_file_says() {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("VERSION"), "v1.1.0\n").expect("write");
    assert!(Checkout::open(dir.path()).expect("opens").is_none());
    let found = resolve(dir.path(), None, &to("1.1.0", Request::default())).expect("resolves");
    assert_eq!((found.version.as_str(), found.source, found.commit), ("v1.1.0", Source::Bundle, None));
    assert!(resolve_install(dir.path(), None, &at("v1.1.0", None)).expect("resolves").unchanged);
    assert!(
        resolve(dir.path(), None, &at("v1.2.0", None)).expect("resolves").notes[0].contains("nothing is downgraded")
    );
    assert!(
        resolve(dir.path(), None, &to("v1.2.0", Request::default()))
            .expect_err("other")
            .message
            .contains("unpacked bundle")
    );
}

#[test]
fn a_shallow_clone_stays_shallow_and_can_move() {
    let world = World::new();
    let checkout = world.clone(&["--depth=1"]);
    assert!(checkout.head().expect("head").shallow);
    for name in ["v1.2.0", "v1.3.0"] {
        world.release(name);
        let found = world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves");
        assert_eq!(found.version.as_str(), name);
        checkout.switch(&found.commit.expect("commit"), None, &["VERSION"]).expect("switches");
        assert_eq!(world.text("docker/docker-compose.yml"), format!("# {name}\n"));
        assert_eq!(checkout.head().expect("head").branch.as_deref(), Some("main"));
    }
    assert!(checkout.head().expect("head").shallow);
    let seen: Vec<String> = checkout.local_versions().expect("tags").iter().map(ToString::to_string).collect();
    assert_eq!(seen, ["v1.3.0", "v1.2.0"]);
}

#[test]
fn a_branch_without_version_and_tags_is_followed_by_its_commits() {
    let world = World::new();
    let checkout = world.clone(&["--no-tags"]);
    for tag in git(&world.publisher, &["tag"]).lines() {
        git(&world.publisher, &["tag", "-d", tag]);
    }
    fs::remove_file(world.clone.join("VERSION")).expect("VERSION");
    git(&world.publisher, &["rm", "-q", "VERSION"]);
    git(&world.publisher, &["commit", "-qm", "no version"]);
    let first = git(&world.publisher, &["rev-parse", "HEAD"]);
    let request = Request { current: None, ..Request::default() };
    let found = world.resolve(&checkout, &request).expect("resolves");
    assert!(found.version.as_str().starts_with("commit-2"), "{}", found.version);
    assert!(found.version.as_str().ends_with(&first[..8]) && found.commit.as_deref() == Some(first.as_str()));
    let now = Request { current: Some((found.version.clone(), found.commit.clone())), ..Request::default() };
    assert!(world.resolve(&checkout, &now).expect("resolves").unchanged);
    git(&world.publisher, &["commit", "-q", "--allow-empty", "-m", "next"]);
    let next = world.resolve(&checkout, &now).expect("resolves");
    assert!(!next.unchanged && next.commit != found.commit, "{next:?}");
}

#[test]
fn tags_of_a_publishers_own_form_are_followed_among_themselves() {
    let world = World::new();
    let checkout = world.clone(&[]);
    for tag in ["release-9", "release-10", "nightly-2030"] {
        git(&world.publisher, &["commit", "-q", "--allow-empty", "-m", tag]);
        git(&world.publisher, &["tag", tag]);
    }
    let found = world.resolve(&checkout, &at("release-9", None)).expect("resolves");
    assert_eq!(found.version.as_str(), "release-10");
    assert!(world.resolve(&checkout, &at("v1.1.0", None)).expect("resolves").unchanged);
}
