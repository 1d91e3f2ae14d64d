//! Bad input about workers: each case ends with its exit code, a message that says where, a hint, and with nothing changed.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use xr_lab::HostKind;

use crate::support::{Container, Done, QUICK, Setup, Stack, workers::WithWorkers};

/// What must not change: the admin's and xr's own files, the containers here and on the hosts.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    here: Vec<Container>,
    there: Vec<String>,
}

impl State {
    fn of(stack: &Stack, fleet: Option<&WithWorkers>) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![stack.root.join(".xr")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let meta = fs::symlink_metadata(&path)?;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                // Who held the lock last, and which host keys were accepted, is no change to anything that runs.
                if meta.is_dir() && !["log", "ssh"].contains(&name.as_str()) {
                    folders.push(path);
                } else if meta.is_file() && !name.starts_with("lock") {
                    files.insert(path.clone(), fs::read(&path).with_context(|| path.display().to_string())?);
                }
            }
        }
        files.insert(stack.env_path(), stack.env()?.into_bytes());
        let hosts = fleet.map(|fleet| fleet.hosts.as_slice()).unwrap_or_default();
        // Images of one second are told in any order.
        let all = "docker ps -aq | xargs -r docker inspect -f '{{.Id}} {{.Name}} {{.State.StartedAt}}'; docker images -q | sort";
        let there = hosts.iter().map(|host| host.must(all)).collect::<Result<Vec<_>>>()?;
        Ok(Self { files, here: stack.containers()?, there })
    }

    /// What is not the same, before and after.
    fn differs_from(&self, after: &Self) -> Vec<String> {
        let files =
            self.files.keys().chain(after.files.keys()).filter(|path| self.files.get(*path) != after.files.get(*path));
        let files = files.map(|path| path.display().to_string());
        let here = (self.here != after.here).then(|| format!("{:#?}\n{:#?}", self.here, after.here));
        let there = (self.there != after.there).then(|| format!("{:#?}\n{:#?}", self.there, after.there));
        files.chain(here).chain(there).collect()
    }
}

/// It is refused in these words, with a hint, and nothing has changed.
#[track_caller]
fn refused(fleet: &WithWorkers, argv: &[&str], code: i32, says: &[&str]) -> Result<()> {
    let before = State::of(&fleet.stack, Some(fleet))?;
    let done = fleet.xr(argv)?;
    told(&done, code, says);
    let changed = before.differs_from(&State::of(&fleet.stack, Some(fleet))?);
    assert!(changed.is_empty(), "{done}\nhas changed {changed:#?}");
    Ok(())
}

#[track_caller]
fn told(done: &Done, code: i32, says: &[&str]) {
    assert_eq!(done.code, code, "{done}");
    for part in says.iter().chain(&["hint: "]) {
        assert!(done.stderr.contains(part), "nothing about {part:?} in {done}");
    }
    assert!(!done.stderr.contains("panicked"), "{done}");
}

/// The same for a file of the admin's that is put back afterwards; every command is refused that reads it.
fn refused_with_site(fleet: &WithWorkers, site: &str, says: &[&str]) -> Result<()> {
    let path = fleet.stack.root.join(".xr/site.toml");
    let good = fs::read_to_string(&path)?;
    fs::write(&path, format!("{site}{good}"))?;
    for argv in [
        ["worker", "list", "--offline"].as_slice(),
        &["worker", "sync"],
        &["run", "--", "scan"],
        &["update", "--yes"],
        &["worker", "add", "w2", "--yes"],
    ] {
        refused(fleet, argv, 1, says)?;
    }
    fs::write(&path, good)?;
    Ok(())
}

#[test]
fn bad_input_about_workers_is_refused_with_its_place_and_changes_nothing() -> Result<()> {
    let fleet = WithWorkers::new(&Setup::default(), "bad", &[HostKind::Docker])?;
    let arch = std::env::consts::ARCH;

    // Nobody is listed yet.
    refused(
        &fleet,
        &["worker", "show", "nobody"],
        2,
        &["there is no worker `nobody`", "hint: xr worker add user@host"],
    )?;
    refused(
        &fleet,
        &["worker", "add", "root@nowhere.invalid", "--yes"],
        75,
        &["root@nowhere.invalid does not answer", "nowhere.invalid", "hint: ssh -v root@nowhere.invalid true"],
    )?;

    another_architecture(&fleet, arch)?;

    fleet.xr(&["worker", "add", "w1", "--yes", "--label", "zone=eu"])?.exits(0);
    fleet.assert_workers_are("v1.0.0")?;
    nobody_of_that_name(&fleet)?;
    names_that_cannot_be(&fleet)?;
    settings_that_cannot_be(&fleet)?;
    inventories(&fleet)?;
    fleet.assert_workers_are("v1.0.0")
}

/// The images would not run there. What uname says counts before anything is installed.
fn another_architecture(fleet: &WithWorkers, arch: &str) -> Result<()> {
    let host = &fleet.hosts[0];
    host.must(
        "printf '#!/bin/sh\\n[ \"$*\" = -m ] && echo riscv64 || exec /usr/bin/uname \"$@\"\\n' >/usr/local/bin/uname; chmod 755 /usr/local/bin/uname",
    )?;
    let says = format!("w1: its machine is riscv64, and the images here are for {arch}");
    refused(fleet, &["worker", "add", "w1", "--yes"], 1, &[&says, "hint: a worker needs the architecture"])?;
    refused(fleet, &["worker", "add", "w1", "--yes", "--dry-run"], 1, &[&says])?;
    host.must("rm /usr/local/bin/uname").map(drop)
}

fn nobody_of_that_name(fleet: &WithWorkers) -> Result<()> {
    for argv in [
        ["worker", "show", "nobody"].as_slice(),
        &["worker", "remove", "nobody", "--yes"],
        &["worker", "drain", "nobody"],
        &["worker", "exec", "nobody", "--", "touch", "/root/touched"],
        &["worker", "logs", "nobody"],
        &["worker", "sync", "nobody"],
        &["worker", "sync", "w1", "nobody"],
        &["run", "--worker", "nobody", "--", "scan"],
    ] {
        refused(fleet, argv, 2, &["there is no worker `nobody`", "hint: workers: w1"])?;
    }
    let on = ["run", "--on", "zone=nowhere", "--on", "gpu", "--", "scan"];
    refused(fleet, &on, 2, &["no worker has the label zone=nowhere and gpu", "hint: xr worker list"])?;
    let list = ["worker", "list", "--label", "zone=nowhere"];
    refused(fleet, &list, 2, &["no worker has the label zone=nowhere", "hint: xr worker list"])
}

fn names_that_cannot_be(fleet: &WithWorkers) -> Result<()> {
    let add = |more: &[&'static str]| [&["worker", "add"], more, &["--yes"]].concat();
    for (more, says) in [
        (["w2", "--name", "w1"].as_slice(), ["there is a worker `w1` already: w1", "hint: xr worker add w2 --name"]),
        (&["w1", "--name", "other"], ["w1 is a worker already: `w1`", "hint: xr worker show w1"]),
        (&["w2", "--name", "local"], ["`local` is this host itself", "hint: xr worker add user@host --name"]),
        (&["w2", "--name", "a b"], ["`a b` is no name", "hint: xr worker add user@host --name"]),
        (&["w2", "--label", "a b=c"], ["`a b=c` is no label", "--label KEY=VALUE"]),
    ] {
        refused(fleet, &add(more), 2, &says)?;
    }
    let server = ["worker", "add", "w1", "--server", "ftp://x", "--yes"];
    refused(fleet, &server, 2, &["`ftp://x` is no address of a server", "hint: --server http://HOST:PORT"])
}

fn settings_that_cannot_be(fleet: &WithWorkers) -> Result<()> {
    let expected = "expected \"all\", \"majority\" or a number of workers";
    for (site, says) in [
        ("[fleet]\nquorum = \"most\"\n", [".xr/site.toml:2:10: ", "string \"most\"", expected]),
        ("[fleet]\nquorum = -1\n", [".xr/site.toml:2:10: ", "integer `-1`", expected]),
        ("[fleet]\naway = \"never\"\n", [".xr/site.toml:2:8: unknown variant `never`", "`wait`", "`abort`"]),
        ("[fleet]\nqorum = 1\n", [".xr/site.toml:2:1: unknown field `qorum`", "quorum", "    qorum = 1"]),
        ("[fleet]\npatience = \"0s\"\n", [".xr/site.toml:2:12: ", "expected a second at least", "^"]),
    ] {
        refused_with_site(fleet, site, &says)?;
    }
    let twice = "# ours\n[[workers]]\nname = \"w1\"\nssh = \"10.9.9.9\"\n\n";
    // The second of the two is the one that was listed.
    refused_with_site(fleet, twice, &[".xr/site.toml:6: two workers are called `w1`", "hint: edit "])
}

fn inventories(fleet: &WithWorkers) -> Result<()> {
    let folder = fleet.stack.scratch("inventories")?;
    for (name, text, says) in [
        ("a.toml", "[[workers]]\nssh = \"w2\"\nport = 3\n", ":3:1: unknown field `port`"),
        ("b.toml", "[[workers]]\nname = \"w2\"\n", ":1:1: missing field `ssh`"),
        ("c.toml", "[[workers]\nssh = \"w2\"\n", ":1:"),
        (
            "d.toml",
            "[[workers]]\nssh = \"w2\"\n\n[[workers]]\nname = \"w2\"\nssh = \"w3\"\n",
            ":4: two workers are called",
        ),
        ("e", "[web\nw2\n", ":1: a group has no `]`"),
        ("f", "[web]\nw2\nw3 oops\n", ":3: expected KEY=VALUE after the host"),
        ("g", "w[1:9]\n", ":1: ranges of hosts are not read"),
        ("h", "# nobody\n", ": no worker in it"),
        ("i", "[web]\nroot@w2 ansible_user=x\nlocal\n", ":3: `local` is this host itself"),
    ] {
        let path = folder.join(name);
        fs::write(&path, text)?;
        let shown = path.display().to_string();
        refused(fleet, &["worker", "import", &shown], 2, &[&format!("{shown}{says}")])?;
    }
    let path = folder.join("binary");
    fs::write(&path, b"w2\nw3 \xff\n")?;
    let shown = path.display().to_string();
    refused(fleet, &["worker", "import", &shown], 2, &[&format!("{shown}:2:4: not UTF-8")])?;
    let missing = folder.join("missing").display().to_string();
    refused(fleet, &["worker", "import", &missing], 2, &["cannot read", &missing, "hint: ls -l"])?;
    // Readable, and not to be had: one that has a listed one's name, and one that is not there. Both are told.
    fs::write(folder.join("taken"), "w1 ansible_host=10.9.9.9\nnowhere.invalid\n")?;
    let taken = folder.join("taken").display().to_string();
    refused(
        fleet,
        &["worker", "import", &taken, "--yes"],
        2,
        &["there is a worker `w1` already: w1", "nowhere.invalid does not answer", "nothing was changed"],
    )
}

/// What an author writes whose product has nothing for workers.
const WITHOUT_WORKERS: &str = r#"
preset = "default"

[[profiles]]
name = "local-db"
key = "DB_HOST"
values = ["", "postgres", "localhost", "127.0.0.1"]

[[hooks]]
name = "migrate"
when = "release"
service = "server"
command = ["python3", "manage.py", "migrate", "--noinput"]

"#;

#[test]
fn a_stack_with_nothing_for_workers_says_so_before_any_host_is_asked() -> Result<()> {
    let stack = Stack::installed(&Setup { manifest: &format!("{WITHOUT_WORKERS}{QUICK}"), ..Setup::default() })?;
    let list = stack.scratch("inventory")?.join("hosts");
    fs::write(&list, "nowhere.invalid\n")?;
    let list = list.display().to_string();
    let before = State::of(&stack, None)?;
    for argv in [
        ["worker", "add", "nowhere.invalid", "--yes"].as_slice(),
        &["worker", "add", "nowhere.invalid", "--dry-run"],
        &["worker", "import", &list],
    ] {
        let done = stack.xr(argv)?;
        told(&done, 2, &["this stack has nothing that runs on workers", "hint: xr.toml: [worker] agent = \"SERVICE\""]);
    }
    for argv in [["run", "--", "scan"].as_slice(), &["run", "--worker", "local", "--", "scan"]] {
        let done = stack.xr(argv)?;
        told(&done, 2, &["this stack has no image for tasks", "hint: xr.toml: [worker] task = \"IMAGE\""]);
    }
    assert!(before == State::of(&stack, None)?, "something changed");
    assert_eq!(stack.version()?, "v1.0.0");
    Ok(())
}
