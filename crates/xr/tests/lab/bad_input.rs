//! Bad input: each case ends with its exit code, a message that says where, a hint, and with nothing changed.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use duct::cmd;

use crate::support::{Container, Done, Setup, Stack};

/// One way to spoil a stack, and what must come of it.
struct Case {
    name: &'static str,
    /// Shell that spoils it, in the stack's folder.
    spoil: &'static str,
    /// Arguments of xr.
    argv: &'static [&'static str],
    code: i32,
    /// What standard error must say, `hint: ` included.
    says: &'static [&'static str],
}

const UPDATE: &[&str] = &["update", "--to", "v1.1.0", "--yes"];
const INSTALL: &[&str] = &["install", "--yes"];
const BOTH: [&[&str]; 2] = [UPDATE, INSTALL];
const COMMIT: &str = "git -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m mine";

/// An installed v1.0.0 that is put back after each case.
struct Bench {
    stack: Stack,
    saved: PathBuf,
}

/// What must not change: files with modes and owners, where HEAD is, generations, containers.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: BTreeMap<PathBuf, (u32, u32, Vec<u8>)>,
    containers: Vec<Container>,
}

impl Bench {
    fn new() -> Result<Self> {
        let stack = Stack::installed(&Setup { versions: &["v1.0.0"], ..Setup::default() })?;
        stack.remote.release("v1.1.0")?;
        let saved = stack.scratch("saved")?;
        let bench = Self { stack, saved };
        bench.sh(&format!("cp -a . {}", bench.saved.display()))?;
        Ok(bench)
    }

    fn sh(&self, script: &str) -> Result<()> {
        let output =
            self.stack.with_environment(cmd!("sh", "-ec", script)).stderr_to_stdout().stdout_capture().run()?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    fn restore(&self) -> Result<()> {
        self.sh(&format!("find . -mindepth 1 -delete; cp -a {}/. .", self.saved.display()))
    }

    fn state(&self) -> Result<State> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.stack.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let meta = fs::symlink_metadata(&path)?;
                if meta.is_dir() {
                    folders.push(path);
                } else if meta.is_file() && counts(&path) {
                    let content = fs::read(&path)?;
                    files.insert(path, (meta.mode(), meta.uid(), content));
                }
            }
        }
        Ok(State { files, containers: self.stack.containers()? })
    }

    fn check(&self, case: &Case) -> Result<()> {
        self.sh(case.spoil).context(case.name)?;
        let before = self.state()?;
        let done = self.stack.xr(case.argv)?;
        assert_refused(case, &done);
        assert!(before == self.state()?, "{}: something changed: {done}", case.name);
        self.restore()
    }

    fn check_all(&self, cases: &[Case]) -> Result<()> {
        cases.iter().try_for_each(|case| self.check(case))
    }

    /// Runs a command that must be refused like `case`.
    fn check_command(&self, case: &Case, command: duct::Expression) -> Result<()> {
        let before = self.state()?;
        let done = Done::of(&[case.name], self.stack.with_environment(command))?;
        assert_refused(case, &done);
        assert!(before == self.state()?, "{}: something changed: {done}", case.name);
        self.restore()
    }
}

/// Fetched objects, logs and the lock's note are no change that an admin would notice.
fn counts(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let of_git = text.contains("/.git/") && !text.ends_with("/.git/HEAD") && !text.contains("/.git/refs/heads");
    let of_xr = text.contains("/.xr/") && !text.ends_with("/.xr/current") && !text.contains("/.xr/generations");
    !of_git && !of_xr
}

#[track_caller]
fn assert_refused(case: &Case, done: &Done) {
    assert_eq!(done.code, case.code, "{}: {done}", case.name);
    for part in case.says {
        assert!(done.stderr.contains(part), "{}: nothing about {part:?} in {done}", case.name);
    }
    assert!(!done.stderr.contains("panicked"), "{}: {done}", case.name);
}

#[test]
fn files_that_say_nonsense_are_named_with_their_line() -> Result<()> {
    let bench = Bench::new()?;
    #[rustfmt::skip]
    let files: &[(&str, &str, &[&str])] = &[
        ("VERSION missing", "rm VERSION", &["/VERSION is missing", "hint: echo v1.0.0 > "]),
        ("VERSION empty", ": > VERSION", &["/VERSION:1: empty", "hint: echo v1.0.0 > "]),
        ("VERSION of two lines", "printf 'v1.0.0\\nv1.1.0\\n' > VERSION", &["/VERSION:2: a second line `v1.1.0`", "hint: echo v1.0.0 > "]),
        ("VERSION no version", "echo latest > VERSION", &["/VERSION:1: `latest` is not a version", "hint: echo v1.0.0 > "]),
        ("VERSION a folder", "rm VERSION; mkdir VERSION", &["cannot read", "/VERSION", "hint: "]),
        (".env missing", "rm docker/.env", &["docker/.env is missing", "hint: restore it: cp -p "]),
        (".env unreadable", "rm docker/.env; mkdir docker/.env", &["cannot read", "docker/.env", "hint: ls -l"]),
        (".env a pipe", "rm docker/.env; mkfifo docker/.env", &["docker/.env: not a regular file", "hint: ls -l"]),
        (".env not UTF-8", "printf 'A=\\377\\n' > docker/.env", &["docker/.env:1:3: not UTF-8", "hint: iconv"]),
        (".env with a key twice", "printf 'A=1\\nB=2\\nA=3\\n' > docker/.env", &["docker/.env:3: A is set more than once (lines 1, 3)", "hint: "]),
        (".env with rubbish", "printf 'A=1\\nthis is not\\n' > docker/.env", &["docker/.env:2:1: ", "hint: "]),
        (".env of 9 MiB", "head -c 9500000 /dev/zero | tr '\\0' a >> docker/.env", &["docker/.env: 9 MiB is too large", "hint: "]),
        ("xr.toml with an unknown key", "printf '[version]\\nkee = \"x\"\\n' > xr.toml", &["xr.toml:2:1: unknown field `kee`", "    kee = \"x\"\n    ^", "hint: "]),
        ("xr.toml with a wrong type", "printf '[keep]\\ngenerations = \"five\"\\n' > xr.toml", &["xr.toml:2:15: invalid type", "expected a whole number", "    generations = \"five\"\n                  ^", "hint: "]),
        ("xr.toml not UTF-8", "printf 'x = 1\\ny = \"\\377\"\\n' > xr.toml", &["xr.toml:2:6: not UTF-8", "hint: "]),
        ("site.toml with an unknown key", "echo 'chanel = 1' > .xr/site.toml", &["site.toml:1:1: unknown field `chanel`", "hint: "]),
        ("no compose file", "rm docker/docker-compose*.yml", &["there is no compose file", "hint: "]),
        ("compose file changed and broken", "echo '\tx: [' >> docker/docker-compose.yml", &["local changes", "docker/docker-compose.yml", "hint: git -C"]),
        ("override broken", "printf 'services:\\n\\tx: [\\n' > docker/docker-compose.override.yml", &["docker-compose.override.yml:2: compose refuses it", "hint: docker compose"]),
        ("broken journal line", "f=$(ls .xr/journal/*.jsonl | tail -1); sed -i '2s/.*/{\"record\":\"bad\"}/' $f", &[".jsonl:2: not a journal record", "hint: "]),
        ("broken generation", "echo '{' > .xr/generations/1/generation.json", &["generation.json:2:1: not a generation record", "hint: "]),
        ("broken pointer", "echo x > .xr/current", &["/.xr/current:1: `x` is not a generation's number", "hint: "]),
        (".xr a file", "rm -r .xr; : > .xr", &["/.xr", "hint: "]),
    ];
    for (name, spoil, says) in files {
        for argv in BOTH {
            bench.check(&Case { name, spoil, argv, code: 1, says })?;
        }
    }
    // The same as one JSON document for programs.
    bench.sh("echo latest > VERSION")?;
    let done = bench.stack.xr(&["update", "--yes", "--json"])?.exits(1);
    ensure!(
        done.stdout.contains("VERSION:1: `latest` is not a version") && done.stdout.contains("\"hint\": \"echo"),
        "{done}"
    );
    serde_json::from_str::<serde_json::Value>(&done.stdout)?;
    Ok(())
}

#[test]
fn a_tree_that_would_lose_something_is_refused_before_anything_moves() -> Result<()> {
    let bench = Bench::new()?;
    let git = |name, spoil, says| Case { name, spoil, argv: UPDATE, code: 1, says };
    let detached = format!("{COMMIT}; git checkout -q --detach HEAD");
    bench.check_all(&[
        git(
            "local changes",
            "echo '# mine' >> docker/docker-compose.yml",
            &["local changes in", "docker/docker-compose.yml", "hint: git -C"],
        ),
        git(
            "remote gone",
            "git remote set-url origin file:///nonexistent/x.git",
            &["the git remote `origin`", "cannot be read", "hint: git -C"],
        ),
        git(
            "no remote",
            "git remote remove origin; git tag -d v1.1.0 2>/dev/null || :",
            &["has no remote", "hint: git -C"],
        ),
        git("git lock left behind", ": > .git/index.lock", &[".git/index.lock exists", "hint: "]),
        git("unfinished merge", ": > .git/MERGE_HEAD", &["a merge is unfinished", "hint: git -C"]),
    ])?;
    for (name, spoil, says) in [
        ("a commit of one's own", COMMIT, "has a commit of its own"),
        ("detached at an unknown commit", detached.as_str(), "is detached at"),
    ] {
        bench.sh(spoil)?;
        let before = bench.state()?;
        bench.stack.xr(UPDATE)?.exits(1).says(says).says("hint: git -C");
        assert!(before == bench.state()?, "{name}");
        bench.restore()?;
    }
    let later = Case {
        name: "remote that does not answer",
        spoil: "git remote set-url origin https://127.0.0.1:1/x.git",
        argv: &["update", "--yes"],
        code: 75,
        says: &["does not answer", "hint: "],
    };
    bench.check(&later)?;
    let asked = |argv, says| Case { name: "a version", spoil: ":", argv, code: 1, says };
    bench.check_all(&[
        asked(
            &["update", "--to", "v9.9.9", "--yes"],
            &["has no release v9.9.9; near it are v1.1.0", "hint: xr update --to"],
        ),
        asked(&["rollback", "--yes"], &["there is nothing before generation 1", "hint: xr history"]),
        asked(&["rollback", "--generation", "77", "--yes"], &["there is no generation 77", "hint: xr history"]),
    ])?;
    releases_that_are_broken(&bench)?;
    // Detached at a tag is where many guides leave an admin.
    bench.sh("git checkout -q --detach v1.0.0")?;
    bench.stack.xr(UPDATE)?.exits(0);
    bench.stack.assert_all_of_it_is("v1.1.0")?;
    let before = bench.state()?;
    bench
        .stack
        .xr(&["update", "--to", "v1.0.0", "--yes"])?
        .exits(1)
        .says("v1.0.0 is older than v1.1.0")
        .says("hint: xr rollback --to v1.0.0");
    assert!(before == bench.state()?, "a downgrade");
    Ok(())
}

/// Mistakes in what the publisher released, not in what stands here.
fn releases_that_are_broken(bench: &Bench) -> Result<()> {
    let work = bench.stack.remote.work();
    let compose = work.join("docker/docker-compose.yml");
    let good = fs::read_to_string(&compose)?;
    let release = |version: &str| {
        bench.stack.remote.commit(version)?;
        bench.stack.remote.in_work(&["tag", version])?;
        bench.stack.remote.push()
    };
    fs::write(&compose, good.replacen("services:", "services:\n\tx: [", 1))?;
    release("v1.5.0")?;
    fs::write(&compose, good.replacen("  redis:\n", "  redis:\n    imge: x\n", 1))?;
    release("v1.5.1")?;
    fs::write(&compose, &good)?;
    fs::write(work.join("xr.toml"), "[version]\nkee = 1\n")?;
    release("v1.5.2")?;
    let case = |argv, says| Case { name: "a broken release", spoil: ":", argv, code: 1, says };
    bench.check_all(&[
        case(
            &["update", "--to", "v1.5.0", "--yes"],
            &["v1.5.0 as released: ", "docker/docker-compose.yml:3: compose refuses it", "hint: git -C"],
        ),
        case(
            &["install", "--version", "v1.5.0", "--yes"],
            &["v1.5.0 as released: ", "docker/docker-compose.yml:3:", "hint: git -C"],
        ),
        case(&["update", "--to", "v1.5.1", "--yes"], &["v1.5.1 as released: ", "imge", "hint: git -C"]),
        case(
            &["update", "--to", "v1.5.2", "--yes"],
            &["v1.5.2 as released: ", "xr.toml:2:1: unknown field `kee`", "hint: "],
        ),
    ])
}

#[test]
fn a_machine_or_a_registry_that_cannot_is_named() -> Result<()> {
    let bench = Bench::new()?;
    let stack = &bench.stack;
    let xr = env!("CARGO_BIN_EXE_xr");
    let env = |key: &str, value: &str| bench.sh(&format!("sed -i 's#^{key}=.*#{key}={value}#' docker/.env"));

    for argv in BOTH {
        env("IMAGE_PREFIX", "127.0.0.1:1/acme")?;
        bench.check(&Case {
            name: "registry down",
            spoil: ":",
            argv,
            code: 75,
            says: &["registry 127.0.0.1:1 cannot be reached", "hint: "],
        })?;
        env("IMAGE_PREFIX", "nobody")?;
        bench.check(&Case {
            name: "image missing",
            spoil: ":",
            argv,
            code: 1,
            says: &["image nobody/orbit-server:", "is not in its registry", "hint: "],
        })?;

        let taken = TcpListener::bind("0.0.0.0:0")?;
        env("HTTP_PORT", &taken.local_addr()?.port().to_string())?;
        let me = format!("(pid {})", std::process::id());
        let before = bench.state()?;
        stack.xr(argv)?.exits(1).says("of service nginx is taken by ").says(&me).says("hint: ss -ltnp");
        assert!(before == bench.state()?, "port taken");
        bench.restore()?;

        env("DB_HOST", "127.0.0.9")?;
        env("DB_PORT", "1")?;
        bench.check(&Case {
            name: "database unreachable",
            spoil: ":",
            argv,
            code: 1,
            says: &["(DB_HOST)", "127.0.0.9:1", "hint: pg_isready"],
        })?;
        let postgres = stack.container("postgres")?.id;
        let address = stack.docker(&[
            "inspect",
            "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            &postgres,
        ])?;
        env("DB_HOST", &address)?;
        env("DB_PASSWORD", "wrong")?;
        bench.check(&Case {
            name: "wrong password",
            spoil: ":",
            argv,
            code: 1,
            says: &["password", "(DB_HOST)", "hint: "],
        })?;

        let dead = cmd(xr, argv).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        bench.check_command(
            &Case {
                name: "Docker stopped",
                spoil: "",
                argv,
                code: 1,
                says: &["Docker engine", "/nonexistent/docker.sock", "hint: "],
            },
            dead,
        )?;

        bench.sh("mv .xr ../xr-aside; mkdir .xr")?;
        let script = "mount -t tmpfs -o size=8m,mode=700 t .xr && cp -a ../xr-aside/. .xr/ && exec \"$@\"";
        let argv_small: Vec<&str> =
            ["-m", "sh", "-c", script, "sh", xr].into_iter().chain(argv.iter().copied()).collect();
        let mut says: &[&str] = &["too little disk at ", "/.xr: ", " MiB needed", "hint: df -h"];
        let mut code = 1;
        if argv == INSTALL {
            // Nothing to do needs no room.
            (says, code) = (&[], 0);
        }
        bench
            .check_command(&Case { name: "disk too small", spoil: "", argv, code, says }, cmd("unshare", argv_small))?;
        bench.sh("rm -rf ../xr-aside")?;

        let lock: Vec<&str> = ["-n", ".xr/lock", xr].into_iter().chain(argv.iter().copied()).collect();
        bench.check_command(
            &Case { name: "lock held", spoil: "", argv, code: 5, says: &["another run holds the lock", "hint: "] },
            cmd("flock", lock),
        )?;
    }
    let no_yes = Case {
        name: "no terminal",
        spoil: ":",
        argv: &["update", "--to", "v1.1.0"],
        code: 2,
        says: &["needs an answer, and there is no terminal", "hint: add --yes"],
    };
    bench.check(&no_yes)?;
    nobody(&bench)?;
    digest_changed(&bench)
}

/// A user who owns the tree and may not reach Docker; one who does not own it.
fn nobody(bench: &Bench) -> Result<()> {
    let xr = bench.stack.scratch("bin")?.join("xr");
    fs::copy(env!("CARGO_BIN_EXE_xr"), &xr)?;
    bench.sh("chmod 755 .. ../bin; chown -R 65534:65534 .; chmod 755 .")?;
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let as_nobody = |argv: &[&str]| {
        cmd("setpriv", user.iter().copied().chain([xr.to_str().unwrap_or_default()]).chain(argv.iter().copied()))
    };
    let case = Case {
        name: "no permission on the socket",
        spoil: "",
        argv: UPDATE,
        code: 1,
        says: &["Docker engine", "hint: "],
    };
    bench.check_command(&case, as_nobody(UPDATE))?;
    bench.sh("chmod 755 .; chmod -R go-w .")?;
    let case = Case { name: "not root, not the owner", spoil: "", argv: UPDATE, code: 1, says: &["hint: "] };
    bench.check_command(&case, as_nobody(UPDATE))
}

/// The publisher pushes v1.0.0 again with something else in it.
fn digest_changed(bench: &Bench) -> Result<()> {
    let stack = &bench.stack;
    let (registry, engine) = (stack.lab.registry(), stack.lab.engine());
    let prefix = stack.project.as_str();
    stack.lab.publish_as("v1.0.0", prefix)?;
    bench.sh(&format!("sed -i 's#^IMAGE_PREFIX=.*#IMAGE_PREFIX={prefix}#' docker/.env"))?;
    stack.xr(INSTALL)?.exits(0);
    let other = format!("{}/acme/orbit-server:v1.1.0", registry.address());
    engine.docker(&["pull", "--quiet", &other])?;
    registry.push(engine, &other, &format!("{prefix}/orbit-server:v1.0.0"))?;
    let before = bench.state()?;
    let argv = ["update", "--to", "v1.0.0", "--refresh", "--yes"];
    stack
        .xr(&argv)?
        .exits(1)
        .says(&format!("{prefix}/orbit-server:v1.0.0 was re-pushed"))
        .says("hint: ")
        .says("--accept-repushed");
    assert!(before == bench.state()?, "digest changed");
    Ok(())
}

#[test]
fn a_shallow_clone_of_another_user_without_a_final_newline_is_updated_under_sudo() -> Result<()> {
    const UID: u32 = 12345;
    let stack = Stack::new(&Setup { versions: &["v1.0.0"], ..Setup::default() })?;
    let remote = stack.scratch("remote")?;
    let sh = |script: &str| -> Result<()> {
        let output = stack.with_environment(cmd!("sh", "-ec", script)).stderr_to_stdout().stdout_capture().run()?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    };
    // Everything is that user's, as on a machine where `sudo` is how one becomes root.
    sh(&format!(
        "rm -rf .git; git clone -q --depth 1 -b v1.0.0 {} ../shallow; mv ../shallow/.git .",
        stack.remote.url()
    ))?;
    ensure!(stack.git(&["rev-parse", "--is-shallow-repository"])? == "true");
    stack.remote.release("v1.1.0")?;
    sh(&format!(
        "truncate -s -1 docker/.env; cp -a {}/. {}; git remote set-url origin file://{}; chmod 755 ..; chown -R {UID}:{UID} . ../remote",
        stack.remote.path().display(),
        remote.display(),
        remote.display()
    ))?;
    let last = stack.env()?.lines().last().context("an empty .env")?.to_owned();
    stack.xr(INSTALL)?.exits(0);
    stack.xr(UPDATE)?.exits(0);
    assert_eq!(stack.version()?, "v1.1.0");
    ensure!(stack.env()?.lines().any(|line| line == last), "`{last}` is glued to its neighbour");
    ensure!(!stack.env()?.is_empty() && stack.setting("IMAGE_TAG")? == "v1.1.0");
    let mut folders = vec![stack.root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let meta = fs::symlink_metadata(&path)?;
            assert_eq!(meta.uid(), UID, "{} belongs to root", path.display());
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}
