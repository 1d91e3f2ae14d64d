//! Products that are shaped otherwise than the example: served, stopped, updated and taken back like any other.

use anyhow::{Result, ensure};

use crate::support::Stack;

/// The tag comes from a key of another name and is spelled without the `v` of the version; nothing restarts the database,
/// which ends with 0 when it is stopped; a port out of a range; a container that borrows another's network; a job.
const COMPOSE: &str = r#"
services:
  db:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; sleep 1000000 & wait'
    volumes: ["rows:/rows"]
  migrate:
    image: xr-shapes/web:${RELEASE}
    command: "true"
    depends_on: {db: {condition: service_started}}
  web:
    image: xr-shapes/web:${RELEASE}
    command: httpd -f -p 80
    stop_signal: SIGKILL
    ports: ["${PORT}:80"]
    depends_on: {db: {condition: service_started}}
  admin:
    image: xr-shapes/web:${RELEASE}
    command: httpd -f -p 80
    stop_signal: SIGKILL
    ports: ["${FIRST}-${LAST}:80"]
  side:
    image: xr-shapes/web:${RELEASE}
    network_mode: "service:web"
    command: sleep 1000000
    stop_signal: SIGKILL
volumes:
  rows:
"#;

fn published(stack: &Stack, versions: &[&str]) -> Result<()> {
    let (engine, registry) = (stack.lab.engine(), stack.lab.registry());
    engine.docker(&["pull", "--quiet", "busybox"])?;
    for version in versions {
        let name = format!("xr-shapes/web:{version}");
        if registry.digest(&name)?.is_none() {
            registry.push(engine, "busybox", &name)?;
        }
        // The same content under another digest, as two releases have.
        registry.repush(engine, &name, version)?;
    }
    Ok(())
}

fn assert_whole(stack: &Stack, tag: &str) -> Result<()> {
    for service in ["db", "web", "admin", "side"] {
        let container = stack.container(service)?;
        assert_eq!(container.state, "running", "{service}");
        ensure!(service == "db" || container.image.ends_with(tag), "{container:?}");
    }
    let mode = "{{.HostConfig.NetworkMode}}";
    let borrowed = stack.docker(&["inspect", "--format", mode, &stack.container("side")?.id])?;
    assert_eq!(borrowed, format!("container:{}", stack.container("web")?.id));
    let argv = ["compose", "--dry-run", "up", "-d"];
    let said = stack.with_environment(duct::cmd("docker", argv)).stderr_to_stdout().stdout_capture().read()?;
    ensure!(!said.contains("Recreat"), "compose would change: {said}");
    Ok(())
}

#[test]
fn a_product_of_another_shape_is_served_stopped_updated_and_taken_back() -> Result<()> {
    let stack = Stack::unpacked()?;
    published(&stack, &["1.0.0", "1.1.0"])?;
    let first = stack.lab.ports(2)?;
    let compose = COMPOSE.replace("${FIRST}", &first.to_string()).replace("${LAST}", &(first + 1).to_string());
    stack.unpack(&[("VERSION", "v1.0.0\n"), ("compose.yaml", &compose)])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    assert_whole(&stack, ":1.0.0")?;
    ensure!(stack.file(".env")?.contains("RELEASE=1.0.0\n") && stack.file("VERSION")? == "v1.0.0\n");
    let database = stack.container("db")?;

    // Stopped behind xr's back it is down, and said to be; the job that has ended is not.
    for service in ["side", "web", "admin", "db"] {
        stack.docker(&["stop", &stack.container(service)?.id])?;
    }
    let told = stack.xr(&["doctor"])?.exits(6);
    ensure!(told.stdout.contains("db-1") && !told.stdout.contains("migrate"), "{told}");
    let job = stack.container("migrate")?.started_at;
    stack.xr(&["start"])?.exits(0);
    assert_whole(&stack, ":1.0.0")?;
    assert_eq!(stack.container("migrate")?.started_at, job);

    stack.unpack(&[("VERSION", "v1.1.0\n")])?;
    stack.xr(&["update", "--yes"])?.exits(0);
    assert_whole(&stack, ":1.1.0")?;
    stack.xr(&["rollback", "--yes"])?.exits(0);
    assert_whole(&stack, ":1.0.0")?;
    assert_eq!(database.id, stack.container("db")?.id);
    stack.xr(&["doctor"])?.exits(0);
    Ok(())
}
