//! Moving the work tree, and what must survive it.
#![allow(clippy::disallowed_methods)]

mod world;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use world::{World, git};
use xr_host::Cmd;
use xr_version_resolver::{Checkout, Request, Source};

const MANAGED: [&str; 2] = ["VERSION", "docker/.env"];

fn tag_commit(world: &World, name: &str) -> String {
    git(&world.publisher, &["rev-parse", &format!("{name}^{{commit}}")])
}

#[test]
fn the_branch_moves_managed_files_stay_and_twice_is_once() {
    let world = World::new();
    let checkout = world.clone(&[]);
    world.write("VERSION", "v1.0.0-mine\n");
    world.write("docker/.env", "SECRET=1\n");
    let commit = tag_commit(&world, "v1.0.0");
    for _ in 0..2 {
        checkout.switch(&commit, None, &MANAGED).expect("switches");
        let head = checkout.head().expect("head");
        assert_eq!((head.commit.as_str(), head.branch.as_deref()), (commit.as_str(), Some("main")));
        assert_eq!(world.text("VERSION"), "v1.0.0-mine\n");
        assert_eq!(world.text("docker/.env"), "SECRET=1\n");
        assert_eq!(world.text("docker/docker-compose.yml"), "# v1.0.0\n");
    }
    assert_eq!(git(&world.clone, &["config", "branch.main.merge"]), "refs/heads/main");
    assert!(checkout.local_changes(&MANAGED).expect("status").is_empty());
    checkout.switch(&tag_commit(&world, "v1.1.0"), None, &MANAGED).expect("and back");
}

#[test]
fn a_managed_file_that_a_release_starts_or_stops_tracking_stays() {
    let world = World::new();
    let with = world.publish("docker/.env", "SECRET=template\n");
    fs::remove_file(world.publisher.join("docker/.env")).expect("remove");
    let without = world.commit("no env");
    let checkout = world.clone(&[]);
    world.write("docker/.env", "SECRET=mine\n");
    for commit in [&with, &without, &with] {
        checkout.switch(commit, None, &MANAGED).expect("switches");
        assert_eq!(world.text("docker/.env"), "SECRET=mine\n");
    }
}

#[test]
fn changed_files_are_refused_and_named() {
    let world = World::new();
    let checkout = world.clone(&[]);
    world.write("docker/docker-compose.yml", "mine\n");
    assert_eq!(checkout.local_changes(&MANAGED).expect("status"), ["docker/docker-compose.yml"]);
    let fault = checkout.refuse_local_changes(&MANAGED).expect_err("changed");
    assert!(fault.message.contains("docker/docker-compose.yml") && fault.hint.expect("hint").ends_with(" stash"));
    let fault = checkout.switch(&tag_commit(&world, "v1.0.0"), None, &MANAGED).expect_err("changed");
    assert!(fault.message.contains("docker/docker-compose.yml"));
    assert_eq!(world.text("docker/docker-compose.yml"), "mine\n");
    git(&world.clone, &["checkout", "-q", "."]);
    fs::set_permissions(world.clone.join("docker/docker-compose.yml"), fs::Permissions::from_mode(0o755))
        .expect("chmod");
    assert!(checkout.local_changes(&MANAGED).expect("status").is_empty(), "a mode is no change");
    checkout.switch(&tag_commit(&world, "v1.0.0"), None, &MANAGED).expect("switches");
}

#[test]
fn untracked_files_in_the_way_are_refused_even_ignored_ones() {
    let world = World::new();
    world.publish(".gitignore", "notes\n");
    let checkout = world.clone(&[]);
    fs::write(world.publisher.join("notes"), "theirs\n").expect("write");
    git(&world.publisher, &["add", "-f", "notes"]);
    world.publish("data/list", "theirs\n");
    world.publish("folder", "a file where a folder is\n");
    world.release("v1.2.0");
    let found = world.resolve(&checkout, &Request::default()).expect("resolves");
    let commit = found.commit.expect("commit");
    world.write("notes", "mine\n");
    world.write("data", "a file where a folder comes\n");
    world.write("folder/mine", "mine\n");
    assert_eq!(checkout.would_overwrite(&commit).expect("asks"), ["data", "folder/mine", "notes"]);
    let fault = checkout.switch(&commit, None, &MANAGED).expect_err("in the way");
    assert!(fault.hint.expect("hint").starts_with("mv ") && world.text("notes") == "mine\n");
}

#[test]
fn local_commits_are_refused_until_they_are_kept() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let commit = tag_commit(&world, "v1.0.0");
    for detach in [false, true] {
        if detach {
            git(&world.clone, &["checkout", "-q", "--detach", "v1.1.0"]);
        }
        world.write("mine", &format!("{detach}\n"));
        git(&world.clone, &["add", "mine"]);
        git(&world.clone, &["commit", "-q", "-m", "mine"]);
        let fault = checkout.switch(&commit, None, &MANAGED).expect_err("a local commit");
        assert!(fault.message.contains("a commit of its own"), "{}", fault.message);
        assert!(fault.hint.expect("hint").contains("branch keep-mine"));
        git(&world.clone, &["branch", &format!("keep-mine-{detach}")]);
        checkout.switch(&commit, None, &MANAGED).expect("kept elsewhere");
        assert_eq!(checkout.head().expect("head").branch.is_none(), detach);
    }
}

#[test]
fn an_interrupted_switch_can_be_finished_or_taken_back() {
    for finish in [true, false] {
        let world = World::new();
        let old = tag_commit(&world, "v1.1.0");
        world.publish("new-file", "new\n");
        let commit = world.release("v1.2.0");
        let checkout = world.clone(&[]);
        checkout.switch(&old, None, &MANAGED).expect("starts at v1.1.0");
        checkout.fetch(&Source::Tag("v1.2.0".into()), &commit).expect("fetches");
        // git was killed with a part of the files written and HEAD not yet moved
        world.write("docker/docker-compose.yml", "# v1.2.0\n");
        world.write("new-file", "new\n");
        fs::remove_file(world.clone.join("VERSION")).expect("remove");
        let (goal, line) = if finish { (&commit, "# v1.2.0\n") } else { (&old, "# v1.1.0\n") };
        checkout.switch(goal, None, &[]).expect("goes on");
        assert_eq!(world.text("docker/docker-compose.yml"), line);
        assert!(world.clone.join("VERSION").exists());
        assert!(checkout.local_changes(&[]).expect("status").is_empty());
    }
}

#[test]
fn a_switch_that_ended_before_head_moved_can_be_finished_or_taken_back() {
    for goal in ["v1.0.0", "v1.1.0"] {
        let world = World::new();
        let checkout = world.clone(&[]);
        git(&world.clone, &["checkout", "-q", "-B", "main", "v1.0.0"]);
        checkout.fetch(&Source::Tag("v1.1.0".into()), &tag_commit(&world, "v1.1.0")).expect("keeps");
        git(&world.clone, &["read-tree", "-m", "-u", "v1.0.0", "v1.1.0"]);
        checkout.switch(&tag_commit(&world, goal), None, &[]).expect("goes on");
        assert_eq!(world.text("docker/docker-compose.yml"), format!("# {goal}\n"));
        assert_eq!(git(&world.clone, &["status", "--porcelain"]), "");
        assert_eq!(checkout.head().expect("head").commit, tag_commit(&world, goal));
    }
}

#[test]
fn a_switch_to_a_commit_that_was_never_fetched_by_xr_can_be_taken_back() {
    let world = World::new();
    let checkout = world.clone(&[]);
    let (old, new) = (tag_commit(&world, "v1.0.0"), tag_commit(&world, "v1.1.0"));
    git(&world.clone, &["checkout", "-q", "--detach", "v1.1.0"]);
    git(&world.clone, &["read-tree", "-m", "-u", "v1.1.0", "v1.0.0"]);
    assert!(checkout.switch(&new, None, &[]).is_err(), "whose work it is cannot be told");
    checkout.switch_back(&new, None, &[], Some(&old)).expect("goes back");
    assert_eq!(world.text("docker/docker-compose.yml"), "# v1.1.0\n");
    assert_eq!(git(&world.clone, &["status", "--porcelain"]), "");
}

#[test]
fn a_tree_that_was_copied_elsewhere_still_switches() {
    let world = World::new();
    world.clone(&[]);
    let copy = world.dir.path().join("copy");
    Cmd::new("cp").arg("-r").arg(&world.clone).arg(&copy).ok().expect("cp"); // new inodes, new times
    let checkout = Checkout::open(&copy).expect("opens").expect("a checkout");
    checkout.switch(&tag_commit(&world, "v1.0.0"), None, &[]).expect("switches");
    assert_eq!(git(&copy, &["status", "--porcelain"]), "");
}

#[test]
fn a_lock_left_behind_is_named() {
    let world = World::new();
    let checkout = world.clone(&[]);
    world.write(".git/index.lock", "");
    let fault = checkout.switch(&tag_commit(&world, "v1.0.0"), None, &MANAGED).expect_err("locked");
    assert!(fault.message.contains(".git/index.lock") && fault.hint.expect("hint").contains("rm "));
}

#[test]
fn a_lock_that_a_killed_git_left_is_seen_and_removed() {
    let world = World::new();
    let checkout = world.clone(&[]);
    assert!(!checkout.is_locked());
    checkout.remove_lock().expect("nothing to remove");
    world.write(".git/index.lock", "");
    assert!(checkout.is_locked());
    checkout.remove_lock().expect("removes it");
    checkout.switch(&tag_commit(&world, "v1.0.0"), None, &MANAGED).expect("free");
}

#[test]
fn a_repository_without_a_commit_and_one_without_a_head_are_named() {
    let dir = tempfile::tempdir().expect("dir");
    git(dir.path(), &["init", "-q"]);
    let checkout = Checkout::open(dir.path()).expect("opens").expect("a checkout");
    assert!(checkout.head().expect_err("unborn").message.contains("no commit yet"));
    fs::remove_file(dir.path().join(".git/HEAD")).expect("remove");
    assert!(Checkout::open(dir.path()).expect_err("damaged").message.contains("HEAD is missing"));
}

#[test]
fn a_linked_work_tree_is_a_checkout_too() {
    let world = World::new();
    world.clone(&[]);
    let linked = world.dir.path().join("linked");
    git(&world.clone, &["worktree", "add", "-q", "-b", "side", linked.to_str().expect("path")]);
    let checkout = Checkout::open(&linked).expect("opens").expect("a checkout");
    assert_eq!(checkout.head().expect("head").branch.as_deref(), Some("side"));
    assert_eq!(checkout.remote().expect("config").as_deref(), Some("origin"));
    git(&world.clone, &["pack-refs", "--all"]);
    assert_eq!(checkout.head().expect("packed").commit, git(&linked, &["rev-parse", "HEAD"]));
}

#[test]
fn a_tree_is_staged_as_it_was_committed() {
    let world = World::bare();
    world.publish(".gitattributes", "secret export-ignore\nstamp export-subst\n*.txt eol=crlf\n");
    fs::write(world.publisher.join("run.sh"), "#!/bin/sh\n").expect("write");
    fs::set_permissions(world.publisher.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("chmod");
    world.link("../../outside", "a-link");
    world.publish("stamp", "$Format:%H$\n");
    world.publish("secret", "s\n");
    world.publish("deep/er/ä.txt", "a\nb\n");
    let commit = world.publish("docker/.env.example", "A=1\n");
    let checkout = world.clone(&[]);
    let into = world.dir.path().join("staged");
    fs::create_dir(&into).expect("mkdir");
    world::git(world.dir.path(), &["init", "-q", "outside-target"]);
    std::os::unix::fs::symlink(world.dir.path().join("outside-target"), into.join("deep")).expect("link");
    assert!(checkout.stage(&commit, &["docker", "nothing-here"], &into).expect("stages").is_empty());
    assert!(into.join("docker/.env.example").exists() && !into.join("stamp").exists());
    for _ in 0..2 {
        checkout.stage(&commit, &[], &into).expect("stages");
    }
    assert_eq!(fs::read_to_string(into.join("stamp")).expect("stamp"), "$Format:%H$\n");
    assert_eq!(fs::read_to_string(into.join("deep/er/ä.txt")).expect("text"), "a\nb\n");
    assert!(into.join("secret").exists() && !world.dir.path().join("outside-target/er").exists());
    assert_eq!(fs::metadata(into.join("run.sh")).expect("meta").mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(into.join("a-link")).expect("link"), Path::new("../../outside"));
    assert_eq!(checkout.read(&commit, "secret").expect("reads"), Some(b"s\n".to_vec()));
    assert_eq!(checkout.read(&commit, "none").expect("reads"), None);
    assert!(checkout.read(&"0".repeat(40), "secret").expect_err("no commit").message.contains("is not in"));
}

/// Owners below `dir` that are not `uid`.
fn strangers(dir: &Path, uid: u32) -> Vec<String> {
    let find = Cmd::new("find").arg(dir).args(["!", "-uid", &uid.to_string()]).ok().expect("find").text();
    find.lines().map(str::to_owned).collect()
}

#[test]
fn root_in_a_user_s_clone_leaves_every_file_the_user_s() {
    const USER: u32 = 12345; // no account entry
    if !Cmd::new("id").arg("-u").ok().is_ok_and(|output| output.text() == "0") {
        return; // only root can give files away
    }
    let world = World::new();
    world.clone(&[]);
    let commit = world.release("v1.2.0");
    Cmd::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(world.dir.path()).ok().expect("chown");
    let checkout = world.checkout();
    let found = world.resolve(&checkout, &Request::default()).expect("resolves");
    assert_eq!(found.commit.as_deref(), Some(commit.as_str()));
    checkout.switch(&commit, None, &MANAGED).expect("switches");
    let into = world.clone.join(".xr-staged");
    fs::create_dir(&into).expect("mkdir");
    std::os::unix::fs::chown(&into, Some(USER), Some(USER)).expect("chown");
    checkout.stage(&commit, &[], &into).expect("stages");
    assert_eq!(strangers(&world.clone, USER), Vec::<String>::new());

    // what `sudo git pull` once left behind is named, with what mends it
    Cmd::new("chown").args(["-R", "0:0"]).arg(world.clone.join(".git/refs")).ok().expect("chown");
    Cmd::new("chown").args(["-R", "0:0"]).arg(&world.publisher).ok().expect("chown");
    let next = world.release("v1.3.0");
    Cmd::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(&world.publisher).ok().expect("chown");
    let fault = checkout.fetch(&Source::Tag("v1.3.0".into()), &next).expect_err("root's refs");
    assert!(fault.hint.as_ref().is_some_and(|hint| hint.starts_with("chown -R 12345:12345")), "{fault:?}");
}

#[test]
fn a_submodule_moves_with_the_release_and_back() {
    let (inner, world) = (World::bare(), World::new());
    let first = inner.publish("conf", "one\n");
    let url = format!("file://{}", inner.publisher.display());
    let allowed = ["-c", "protocol.file.allow=always"];
    git(&world.publisher, &[&allowed[..], &["submodule", "--quiet", "add", &url, "docker/conf"]].concat());
    let old = world.commit("with a submodule");
    let second = inner.publish("conf", "two\n");
    git(&world.publisher.join("docker/conf"), &["pull", "-q", "origin", "main"]);
    let new = world.commit("moved");

    let checkout = world.clone(&[]);
    git(&world.clone, &["checkout", "-q", "-B", "main", &old]);
    git(&world.clone, &[&allowed[..], &["submodule", "--quiet", "update", "--init"]].concat());
    assert_eq!(checkout.submodules(&new).expect("lists")[0].commit, second);
    assert_eq!(checkout.submodules(&old).expect("lists")[0].commit, first);
    let module = world.clone.join("docker/conf");
    checkout.fetch_submodules(&new).expect("fetches");
    assert_eq!(world.text("docker/conf/conf"), "one\n", "only fetched");
    // From here without its remote.
    git(&module, &["remote", "set-url", "origin", "file:///nowhere"]);
    for (commit, text) in [(&new, "two\n"), (&old, "one\n"), (&new, "two\n")] {
        checkout.switch(commit, None, &MANAGED).expect("switches");
        assert_eq!(world.text("docker/conf/conf"), text);
    }
}
