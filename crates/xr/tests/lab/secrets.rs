//! A secret is in `.env`, in `.xr/`'s copies of it and in memory, and nowhere else: whatever happens, whoever prints it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use duct::cmd;
use rustix::process::Signal;
use xr_lab::wait_for;

use crate::support::{Background, Done, PATIENCE, Stack, mode};

/// One container that serves, one that does what a careless program does: it prints its password when it fails.
const COMPOSE: &str = r#"
services:
  web:
    image: busybox
    command: ["sh", "-c", "echo serving $$DATABASE_URL; exec httpd -f -p 80"]
    stop_signal: SIGKILL
    environment: {RELEASE: "VERSION", DATABASE_URL: "${DATABASE_URL}", SECRET_KEY: "${SECRET_KEY}"}
    ports: ["${PORT}:80"]
  side:
    image: busybox
    command: ["sh", "-c", "COMMAND"]
    stop_signal: SIGKILL
    environment: {DB_PASSWORD: "${DB_PASSWORD}", API_TOKEN: "${API_TOKEN}"}
"#;
const SERVES: &str = "exec sleep 1000000";
const CONFESSES: &str = "printf '\\\\033[2J\\\\033]0;gone\\\\007\\\\n'; echo connect as app:$$DB_PASSWORD with $$API_TOKEN failed >&2; exit 1";
const MANIFEST: &str = "[health]\nsettle = \"1s\"\n[[secrets]]\nkey = \"API_TOKEN\"\nlength = 40\n";
const HOOK: &str = "[[hooks]]\nname = \"careless\"\nwhen = \"release\"\nservice = \"web\"\n\
    command = [\"sh\", \"-c\", \"echo the key is $SECRET_KEY; exit 1\"]\n";

fn unpack(stack: &Stack, version: &str, command: &str, manifest: &str) -> Result<()> {
    let compose = COMPOSE.replace("VERSION", version).replace("COMMAND", command);
    stack.unpack(&[("VERSION", version), ("compose.yaml", &compose), ("xr.toml", manifest)])
}

/// What others on the machine can see, looked at all the time.
struct Bystander<'a> {
    root: &'a Path,
    secrets: &'a [String],
}

impl Bystander<'_> {
    fn knows(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        self.secrets.iter().any(|secret| text.contains(secret))
    }

    /// Arguments of all programs, and files with a secret that others may read.
    fn look(&self, seen: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if self.knows(&line) {
                seen.insert(format!("argv: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        if mode(&self.root.join(".xr")).is_ok_and(|mode| mode != 0o700) {
            seen.insert(".xr is open".to_owned());
        }
        for path in files(self.root) {
            if mode(&path).is_ok_and(|mode| mode & 0o077 != 0) && self.knows(&std::fs::read(&path).unwrap_or_default())
            {
                seen.insert(format!("open to others: {}", path.display()));
            }
        }
    }
}

/// Sends the bystander home, also when the test panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Everything that an admin, cron and support see of a stack's life.
fn life(stack: &Stack, said: &mut Vec<Done>) -> Result<()> {
    let mut xr = |code: i32, argv: &[&str]| -> Result<()> {
        said.push(stack.xr(argv)?.exits(code));
        Ok(())
    };
    unpack(stack, "v1.0.0", SERVES, MANIFEST)?;
    xr(0, &["install", "--yes", "-vv"])?;
    unpack(stack, "v1.1.0", SERVES, MANIFEST)?;
    xr(0, &["update", "--yes", "--dry-run", "--json"])?;
    xr(0, &["update", "--yes", "--json", "--progress", "json"])?;
    for (version, command, manifest) in
        [("v1.2.0", CONFESSES, MANIFEST), ("v1.2.1", SERVES, &format!("{MANIFEST}{HOOK}"))]
    {
        unpack(stack, version, command, manifest)?;
        xr(3, &["update", "--yes", "-vv", "--json", "--progress", "json"])?;
    }
    // Compose's own words about a value in the wrong place.
    let broken = COMPOSE.replace("\"${PORT}:80\"", "\"${SECRET_KEY}:80\"");
    stack.unpack(&[("compose.yaml", &broken), ("VERSION", "v1.3.0")])?;
    xr(1, &["update", "--yes", "-vv"])?;
    xr(6, &["doctor"])?;
    unpack(stack, "v1.1.0", SERVES, MANIFEST)?;
    xr(0, &["rollback", "--yes", "-vv"])?;
    // The doctor shows the last words of what is down.
    let web = stack.container("web")?.id;
    stack.docker(&["kill", &web])?;
    xr(6, &["doctor", "-v"])?;
    xr(6, &["doctor", "--json"])?;
    xr(0, &["start"])?;
    for query in ["status", "history"] {
        xr(0, &[query])?;
        xr(0, &[query, "--json"])?;
    }
    xr(0, &["env", "list"])?;
    xr(0, &["env", "list", "--json"])?;
    xr(0, &["restart", "--yes", "-vv"])
}

#[test]
fn a_secret_is_seen_by_nobody_whatever_happens_to_the_stack() -> Result<()> {
    let stack = Stack::unpacked()?;
    let mark = |what: &str| format!("s3cr3t.{what}.{}", stack.port);
    let (password, key, url, registry) = (mark("password"), mark("key"), mark("url"), mark("registry"));
    unpack(&stack, "v1.0.0", SERVES, MANIFEST)?;
    let env = stack.file(".env")?;
    let address = format!("DATABASE_URL=postgres://app:{url}@db.example/app");
    stack.unpack(&[
        (".env", &format!("{env}DB_PASSWORD='{password}'\n{address}\nSECRET_KEY=\n")),
        (".env.example", "API_TOKEN=change-me\n"),
    ])?;
    let seen_before = || {
        let secrets = [password.clone()];
        let mut seen = BTreeSet::new();
        Bystander { root: &stack.root, secrets: &secrets }.look(&mut seen);
        seen.len()
    };
    assert_eq!(seen_before(), 1, "the admin's own .env is open until xr writes it");
    let docker = stack.scratch("home/.docker")?;
    let auth = cmd!("base64", "-w0").stdin_bytes(format!("bot:{registry}")).read()?;
    let config = format!("{{\"auths\": {{\"https://index.docker.io/v1/\": {{\"auth\": \"{auth}\"}}}}}}");
    std::fs::write(docker.join("config.json"), config)?;
    let set = cmd(env!("CARGO_BIN_EXE_xr"), ["env", "set", "SECRET_KEY", "--stdin"]).stdin_bytes(format!("{key}\n"));
    let set = Done::of(&["env", "set"], stack.with_environment(set))?.exits(0);
    ensure!(mode(&stack.root.join(".env"))? == 0o600, "{set}");

    let mut secrets = vec![password, key, url, registry, auth];
    let mut said = vec![set];
    let (done, mut seen) = (AtomicBool::new(false), BTreeSet::new());
    let lived = std::thread::scope(|scope| {
        let bystander = Bystander { root: &stack.root, secrets: &secrets };
        let (done, seen) = (&done, &mut seen);
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                bystander.look(seen);
                std::thread::yield_now();
            }
        });
        let _end = End(done);
        life(&stack, &mut said)
    });
    lived?;
    assert_eq!(seen, BTreeSet::new());

    // The one that xr made itself is nobody's either.
    let env = stack.file(".env")?;
    let made = env.lines().find_map(|line| line.strip_prefix("API_TOKEN=")).unwrap_or_default().to_owned();
    ensure!(made.len() == 40, "{env}");
    secrets.push(made);
    let bystander = Bystander { root: &stack.root, secrets: &secrets };
    bystander.look(&mut seen);
    assert_eq!(seen, BTreeSet::new());
    for run in &said {
        ensure!(!bystander.knows(run.to_string().as_bytes()), "a secret in {run}");
    }
    // The failures were told all the same.
    let told = |part: &str| said.iter().any(|run| run.to_string().contains(part));
    ensure!(told("connect as app:******** with ******** failed") && told("the key is ********"));
    ensure!(
        told("hostPort: ********") || told("port: ********"),
        "{}",
        said.iter().map(Done::to_string).collect::<String>()
    );
    // What the container wrote to steer a terminal is shown, and steers nothing.
    for run in &said {
        ensure!(!run.to_string().contains(['\x1b', '\x07']), "the terminal is steered by {:?}", run.to_string());
    }
    ensure!(told("\\u001b[2J"), "nobody said it");
    for path in files(&stack.root.join(".xr")) {
        let copy = path.ends_with(".env") || path.ends_with("env");
        let bytes = std::fs::read(&path)?;
        ensure!(
            copy || !bystander.knows(&bytes),
            "a secret in {}:\n{}",
            path.display(),
            String::from_utf8_lossy(&bytes)
        );
    }
    Ok(())
}

#[test]
fn no_core_of_xr_or_its_guard_is_ever_dumped() -> Result<()> {
    let stack = Stack::unpacked()?;
    unpack(&stack, "v1.0.0", SERVES, MANIFEST)?;
    let env = stack.file(".env")?;
    stack.unpack(&[(".env", &format!("{env}DB_PASSWORD=x\nDATABASE_URL=x\nSECRET_KEY=x\n"))])?;
    let command = cmd!("sh", "-c", "ulimit -c unlimited; exec \"$0\" install --yes", env!("CARGO_BIN_EXE_xr"));
    let run = Background::start(&["install"], stack.with_environment(command))?;
    wait_for("a guard", PATIENCE, || !stack.guards().is_empty() || run.ended())?;
    for guard in stack.guards() {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", guard.as_raw_nonzero()))?;
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    ensure!(!run.ended(), "it ended before its guard was seen");
    // What a crash would be: the kernel would dump it in the folder where it works.
    run.signal(Signal::ABORT)?;
    run.end()?;
    let cores: Vec<PathBuf> = files(&stack.root).into_iter().filter(|path| path.ends_with("core")).collect();
    assert_eq!(cores, Vec::<PathBuf>::new());
    wait_for("the end of the guard", PATIENCE, || stack.guards().is_empty())
}
