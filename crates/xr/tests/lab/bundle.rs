//! A stack without git: what the admin unpacked is taken wholly or put back wholly.

use anyhow::{Result, ensure};

use crate::support::Stack;

/// What a service reads in three ways, and one that is the same in every release but for what it reads.
const COMPOSE: &str = r#"
services:
  web:
    image: busybox
    command: ["COMMAND", "-f", "-p", "80", "-h", "/www"]
    stop_signal: SIGKILL
    restart: always
    environment: {RELEASE: "VERSION"}
    env_file: [conf/web.env]
    ports: ["${PORT}:80"]
    volumes: ["./www:/www:ro", "./data:/data"]
  side:
    image: busybox
    command: sleep 1000000
    stop_signal: SIGKILL
    restart: always
    volumes: ["./conf/side.conf:/side.conf", "./cert.pem:/cert.pem:ro"]
"#;

fn unpack(stack: &Stack, version: &str, command: &str) -> Result<()> {
    let compose = COMPOSE.replace("VERSION", version).replace("COMMAND", command);
    let env = format!("FROM_FILE={version}\n");
    stack.unpack(&[
        ("VERSION", version),
        ("compose.yaml", &compose),
        ("conf/web.env", &env),
        ("conf/side.conf", version),
        ("www/index.html", version),
    ])
}

/// Tree and containers are of this version, and of no other.
fn assert_wholly(stack: &Stack, version: &str) -> Result<()> {
    assert_eq!(stack.file("VERSION")?.trim_end(), version);
    ensure!(stack.file("compose.yaml")?.contains(&format!("RELEASE: \"{version}\"")));
    assert_eq!(stack.file("conf/web.env")?, format!("FROM_FILE={version}\n"));
    for file in ["conf/side.conf", "www/index.html"] {
        assert_eq!(stack.file(file)?, version, "{file}");
    }
    let inside = |service: &str, argv: &[&str]| -> Result<String> {
        let id = stack.container(service)?.id;
        stack.docker(&[&["exec", &id], argv].concat())
    };
    assert_eq!(inside("web", &["cat", "/www/index.html"])?, version);
    assert_eq!(inside("web", &["sh", "-c", "echo $RELEASE"])?, version);
    assert_eq!(inside("web", &["sh", "-c", "echo $FROM_FILE"])?, version);
    assert_eq!(inside("side", &["cat", "/side.conf"])?, version);
    Ok(())
}

#[test]
fn a_bundle_is_taken_wholly_or_put_back_wholly() -> Result<()> {
    let stack = Stack::unpacked()?;
    unpack(&stack, "v1.0.0", "httpd")?;
    stack.unpack(&[("data/rows", "one"), ("cert.pem", "one")])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_wholly(&stack, "v1.0.0")?;

    // It fails: the tree is the old one again, and the next night has nothing to do.
    unpack(&stack, "v1.2.0", "false")?;
    stack.xr(&["update", "--yes"])?.exits(3).says("unpack its bundle again");
    assert_wholly(&stack, "v1.0.0")?;
    stack.xr(&["update", "--yes"])?.exits(0).says_nothing();
    assert_wholly(&stack, "v1.0.0")?;

    // It is killed, and recovered by the next command.
    unpack(&stack, "v1.1.0", "httpd")?;
    let journals = stack.journals();
    let run = stack.start_xr(&["update", "--yes"])?;
    ensure!(stack.wait_for_lines(&run, &journals, 6)?, "it ended too soon");
    stack.kill_guards()?;
    run.kill_group()?;
    run.end()?;
    stack.xr(&["recover"])?.says("unpack its bundle again");
    assert_wholly(&stack, "v1.0.0")?;

    unpack(&stack, "v1.1.0", "httpd")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_wholly(&stack, "v1.1.0")?;

    // A rollback brings what the services read; what they may have written is the admin's, and named.
    stack.unpack(&[("data/rows", "two"), ("cert.pem", "two"), ("www/index.html", "edited")])?;
    stack.xr(&["rollback", "--yes"])?.exits(0).says("data (a service may write there)").says("www/index.html");
    assert_wholly(&stack, "v1.0.0")?;
    assert_eq!((stack.file("data/rows")?, stack.file("cert.pem")?), ("two".to_owned(), "two".to_owned()));
    Ok(())
}
