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
    all_refused(fleet, &[(argv, code, says)])
}

/// As [`refused`], each of them.
#[track_caller]
fn all_refused(fleet: &WithWorkers, cases: &[(&[&str], i32, &[&str])]) -> Result<()> {
    let mut before = State::of(&fleet.stack, Some(fleet))?;
    for (argv, code, says) in cases {
        let done = fleet.xr(argv)?;
        told(&done, *code, says);
        let after = State::of(&fleet.stack, Some(fleet))?;
        let changed = before.differs_from(&after);
        assert!(changed.is_empty(), "{done}\nhas changed {changed:#?}");
        before = after;
    }
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
    let all = [
        ["worker", "list", "--offline"].as_slice(),
        &["worker", "sync"],
        &["run", "--", "scan"],
        &["update", "--yes"],
        &["worker", "add", "w2", "--yes"],
    ];
    all_refused(fleet, &all.map(|argv| (argv, 1, says)))?;
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
    let says = ["there is no worker `nobody`", "hint: workers: w1"].as_slice();
    all_refused(
        fleet,
        &[
            (&["worker", "show", "nobody"], 2, says),
            (&["worker", "remove", "nobody", "--yes"], 2, says),
            (&["worker", "drain", "nobody"], 2, says),
            (&["worker", "exec", "nobody", "--", "touch", "/root/touched"], 2, says),
            (&["worker", "logs", "nobody"], 2, says),
            (&["worker", "sync", "nobody"], 2, says),
            (&["worker", "sync", "w1", "nobody"], 2, says),
            (&["run", "--worker", "nobody", "--", "scan"], 2, says),
            (
                &["run", "--on", "zone=nowhere", "--on", "gpu", "--", "scan"],
                2,
                &["no worker has the label zone=nowhere and gpu", "hint: xr worker list"],
            ),
            (
                &["worker", "list", "--label", "zone=nowhere"],
                2,
                &["no worker has the label zone=nowhere", "hint: xr worker list"],
            ),
        ],
    )
}

fn names_that_cannot_be(fleet: &WithWorkers) -> Result<()> {
    let cases = [
        (["w2", "--name", "w1"], ["there is a worker `w1` already: w1", "hint: xr worker add w2 --name"]),
        (["w1", "--name", "other"], ["w1 is a worker already: `w1`", "hint: xr worker show w1"]),
        (["w2", "--name", "local"], ["`local` is this host itself", "hint: xr worker add user@host --name"]),
        (["w2", "--name", "a b"], ["`a b` is no name", "hint: xr worker add user@host --name"]),
        (["w2", "--label", "a b=c"], ["`a b=c` is no label", "--label KEY=VALUE"]),
        (["w1", "--server", "ftp://x"], ["`ftp://x` is no address of a server", "hint: --server http://HOST:PORT"]),
    ];
    let argv = cases.map(|(more, _)| [&["worker", "add"], more.as_slice(), &["--yes"]].concat());
    let cases: Vec<_> =
        argv.iter().zip(&cases).map(|(argv, (_, says))| (argv.as_slice(), 2, says.as_slice())).collect();
    all_refused(fleet, &cases)
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
    let cases = [
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
    ];
    let mut files = Vec::new();
    for (name, text, says) in cases {
        let path = folder.join(name);
        fs::write(&path, text)?;
        let shown = path.display().to_string();
        files.push((format!("{shown}{says}"), shown));
    }
    let argv: Vec<_> =
        files.iter().map(|(says, shown)| (["worker", "import", shown.as_str()], [says.as_str()])).collect();
    let cases: Vec<_> = argv.iter().map(|(argv, says)| (argv.as_slice(), 2, says.as_slice())).collect();
    all_refused(fleet, &cases)?;
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
