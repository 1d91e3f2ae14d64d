//! The PostgreSQL check against a real server, started on a free port of loopback.

#![allow(clippy::unwrap_used)]

use std::{fs, net::TcpListener, path::PathBuf};

use tempfile::TempDir;
use xr_host::{Cmd, Identity};
use xr_model::exit;
use xr_preflight::postgres::{Password, PostgresReport, PostgresTarget, check};

const ADMIN_PASSWORD: &str = "s3cret with spaces' & \" $";

struct Server {
    dir: TempDir,
    bin: PathBuf,
    port: u16,
    user: Option<Identity>,
}

impl Server {
    fn start() -> Self {
        let bin = binaries();
        let dir = tempfile::tempdir().unwrap();
        let user = unprivileged();
        if let Some(user) = &user {
            std::os::unix::fs::chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        let port = free_port();
        let server = Self { dir, bin, port, user };
        // Written as the server's user, who owns the folder.
        server.shell("umask 077; cat > password", ADMIN_PASSWORD);
        server.run("initdb", &["-D", "data", "-U", "admin", "--auth=scram-sha-256", "--pwfile=password", "--no-sync"]);
        let hba = "hostssl all tls_only 127.0.0.1/32 scram-sha-256\n\
                   host all admin,plain 127.0.0.1/32 scram-sha-256\n";
        server.shell("cat > data/pg_hba.conf", hba);
        let made = rcgen::generate_simple_self_signed(["database.example".to_owned()]).unwrap();
        server.shell("umask 077; cat > data/server.crt", &made.cert.pem());
        server.shell("umask 077; cat > data/server.key", &made.signing_key.serialize_pem());
        let folder = server.dir.path().display();
        let options = format!("-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c ssl=on");
        server.run("pg_ctl", &["-D", "data", "-w", "-l", "log", "-o", &options, "start"]);
        server.sql("create role plain login password 'p'; create role tls_only login password 'p'");
        server
    }

    fn run(&self, program: &str, args: &[&str]) {
        self.command(self.bin.join(program)).args(args).ok().unwrap();
    }

    fn shell(&self, script: &str, stdin: &str) {
        self.command(PathBuf::from("sh")).args(["-c", script]).stdin(stdin).ok().unwrap();
    }

    fn command(&self, program: PathBuf) -> Cmd {
        Cmd::new(program).cwd(self.dir.path()).run_as(self.user.as_ref())
    }

    fn sql(&self, statement: &str) {
        let port = self.port.to_string();
        self.command(self.bin.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "admin",
                "-d",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
            ])
            .env("PGPASSWORD", ADMIN_PASSWORD)
            .ok()
            .unwrap();
    }

    fn target(&self, user: &str, password: &str, database: &str) -> PostgresTarget {
        PostgresTarget {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: user.to_owned(),
            password: Password::new(password),
            database: database.to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.command(self.bin.join("pg_ctl")).args(["-D", "data", "-m", "immediate", "stop"]).run();
    }
}

/// The newest PostgreSQL of this machine.
fn binaries() -> PathBuf {
    fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max()
        .expect("PostgreSQL's server is not installed: run cargo xtask lab setup (Debian package `postgresql`)")
}

/// PostgreSQL refuses to run as root.
fn unprivileged() -> Option<Identity> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some(Identity {
            uid: fields[2].parse().unwrap(),
            gid: fields[3].parse().unwrap(),
            home: None,
            name: Some(name.to_owned()),
        })
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user to run PostgreSQL as"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn ask(target: &PostgresTarget, create_missing: bool) -> xr_model::Result<PostgresReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(check(target, create_missing));
    if let Err(fault) = &result {
        let text = format!("{} {:?} {fault:?}", fault.chain(), fault.hint);
        assert!(!target.password.expose().is_empty() && !text.contains(ADMIN_PASSWORD), "{text}");
        assert!(fault.hint.is_some(), "{text}");
    }
    result
}

#[test]
fn a_real_server_is_judged_by_a_real_connection() {
    let server = Server::start();

    // The database is there.
    let report = ask(&server.target("admin", ADMIN_PASSWORD, "postgres"), false).unwrap();
    assert!(
        report.server_version.split('.').next().unwrap().trim().len() == 2
            && !report.created
            && report.may_create_tables
    );

    // A missing one is refused, made when asked, and made once.
    let odd = server.target("admin", ADMIN_PASSWORD, "odd \"name\"; drop");
    let fault = ask(&odd, false).unwrap_err();
    assert!(fault.message.contains("there is no database"), "{}", fault.message);
    assert!(ask(&odd, true).unwrap().created);
    assert!(!ask(&odd, true).unwrap().created);

    // Who may not create is told by whom it is done.
    let fault = ask(&server.target("plain", "p", "wanted"), true).unwrap_err();
    assert!(fault.message.contains("plain may not create"), "{}", fault.message);
    assert!(fault.hint.unwrap().contains("create database \"wanted\" owner \"plain\""));
    // A role without rights in schema public can log in, and its migrations would fail.
    let report = ask(&server.target("plain", "p", "postgres"), false).unwrap();
    assert!(!report.may_create_tables || report.server_version.starts_with("14"));

    // Passwords, users and TLS, which is spoken where the server has it.
    let fault = ask(&server.target("admin", "wrong", "postgres"), false).unwrap_err();
    assert!(fault.message.contains("wrong password for admin"), "{}", fault.message);
    ask(&server.target("tls_only", "p", "postgres"), false).unwrap();
    let fault = ask(&server.target("stranger", "p", "postgres"), false).unwrap_err();
    assert!(fault.message.contains("stranger"), "{}", fault.message);
}

#[test]
fn nobody_there_is_said_with_host_and_port() {
    let mut target = PostgresTarget {
        host: "127.0.0.1".to_owned(),
        port: free_port(),
        user: "app".to_owned(),
        password: Password::new("p"),
        database: "app".to_owned(),
    };
    let fault = ask(&target, true).unwrap_err();
    assert_eq!(fault.code, exit::TRY_LATER);
    assert!(
        fault.message.contains(&format!("127.0.0.1:{}", target.port)) && fault.chain().contains("refused"),
        "{}",
        fault.chain()
    );

    target.host = "no-such-host.invalid".to_owned();
    let fault = ask(&target, true).unwrap_err();
    assert!(fault.message.contains("no-such-host.invalid"), "{}", fault.message);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = PostgresTarget {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        user: "app".to_owned(),
        password: Password::new("p"),
        database: "app".to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let fault = runtime.block_on(check(&target, false)).unwrap_err();
    assert!(fault.message.contains("no answer within 10 s"), "{}", fault.message);
}
