//! What `docker compose up` keeps, xr keeps: data wherever they are, files that compose writes, addresses, profiles. The data
//! are read back after each run.

use anyhow::{Result, ensure};

use crate::support::{Stack, sample};

/// A server that answers its release on port 80, writes to the folder of its image's `VOLUME`, and notes there when another one
/// was at work at the same time.
const SERVER: &str = r#"#!/bin/sh
[ ! -e /data/at-work ] || echo two >> /data/two
touch /data/at-work
trap 'rm -f /data/at-work; exit 0' TERM
httpd -f -p 80 -h /www &
wait
"#;

/// A server's image as two releases, whose tags end with the stack's project.
fn published(stack: &Stack) -> Result<String> {
    let (engine, registry) = (stack.lab.engine(), stack.lab.registry());
    engine.docker(&["pull", "--quiet", "busybox"])?;
    for release in ["7.0", "7.2"] {
        let name = format!("xr-kept/server:{release}");
        if registry.digest(&name)?.is_some() {
            continue;
        }
        let context = stack.scratch(&format!("server-{release}"))?;
        std::fs::write(context.join("server"), SERVER)?;
        let dockerfile = format!(
            "FROM busybox\nCOPY server /server\nRUN mkdir /www && echo {release} > /www/index.html && chmod 755 /server\n\
             VOLUME /data\nCMD [\"/server\"]\n"
        );
        std::fs::write(context.join("Dockerfile"), dockerfile)?;
        let local = format!("xr-kept-build-{}:{release}", stack.project);
        engine.build(&context, &context.join("Dockerfile"), &local, &[])?;
        registry.push(engine, &local, &name)?;
    }
    Ok(format!("{}/xr-kept/server", registry.address()))
}

/// A repository of the admin's own, with these files in git as this version.
fn release(stack: &Stack, version: &str, files: &[(&str, &str)]) -> Result<()> {
    if !stack.root.join(".git").exists() {
        stack.git(&["init", "-q", "-b", "main"])?;
        std::fs::write(stack.root.join(".gitignore"), ".env\napp.env\ndata/\nVERSION\n.xr/\n")?;
    }
    stack.unpack(files)?;
    stack.git(&["add", "-A"])?;
    let me = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    stack.git(&[&me[..], &["commit", "-qm", version]].concat())?;
    stack.git(&[&me[..], &["tag", "-m", version, version]].concat())?;
    Ok(())
}

/// Runs a shell script in the one container of a service.
fn sh(stack: &Stack, service: &str, script: &str) -> Result<String> {
    Ok(stack.docker(&["exec", &stack.container(service)?.id, "sh", "-c", script])?.trim().to_owned())
}

/// One of each kind: a volume that only the image declares, one without a name in the compose file, one that two share, a file
/// that compose writes under a fixed name and without one, settings that git does not have, an address, a profile, a job.
const KINDS: &str = r#"
services:
  cache:
    image: IMAGE:7.0
  unnamed:
    image: IMAGE:7.0
    volumes: [/more]
  db:
    image: IMAGE:7.0
    volumes: ["rows:/data"]
  backup:
    image: IMAGE:7.2
    command: sleep 1000000
    stop_signal: SIGKILL
    volumes: ["rows:/source"]
  web:
    image: IMAGE:7.0
    container_name: ${COMPOSE_PROJECT_NAME}-web
    ports: ["${PORT}:80"]
    configs: [{source: site, target: /www/index.html}]
    secrets: [token]
  plain:
    image: IMAGE:7.0
    configs: [{source: site, target: /etc/site}]
    env_file: [app.env]
  placed:
    image: IMAGE:7.0
    networks: {fixed: {ipv4_address: ADDRESS}}
  extra:
    image: IMAGE:7.0
    profiles: [extra]
  job:
    image: IMAGE:7.0
    restart: "no"
    entrypoint: sleep
    command: ["3"]
volumes: {rows: {}}
networks: {fixed: {ipam: {config: [{subnet: SUBNET}]}}}
configs: {site: {content: "mine"}}
secrets: {token: {environment: TOKEN}}
"#;

const SERVERS: [&str; 8] = ["cache", "unnamed", "db", "web", "plain", "placed", "extra", "backup"];

/// Everything that was written is there, and everything that compose would have done.
fn assert_nothing_is_lost(stack: &Stack, tag: &str, address: &str) -> Result<()> {
    for service in SERVERS {
        let container = stack.container(service)?;
        assert_eq!(container.state, "running", "{container:?}");
        ensure!(service == "backup" || container.image.ends_with(tag), "{container:?}");
        let mark = if service == "backup" { "/source/mark" } else { "/data/mark" };
        let wanted = if service == "backup" { "db" } else { service };
        assert_eq!(sh(stack, service, &format!("cat {mark}"))?, wanted, "{service}");
    }
    assert_eq!(sh(stack, "unnamed", "cat /more/mark")?, "more");
    assert_eq!(sh(stack, "db", "cat /data/two 2>/dev/null || echo one")?, "one", "two of db ran at once");
    assert_eq!(stack.http("GET", "/")?.body.trim(), "mine");
    assert_eq!(sh(stack, "plain", "cat /etc/site; echo; echo $A")?, "mine\n1");
    assert_eq!(sh(stack, "web", "cat /run/secrets/token")?, "s3cr3t");
    ensure!(sh(stack, "placed", "ip address")?.contains(address), "no {address}");
    let said =
        stack.with_environment(duct::cmd("docker", ["compose", "--dry-run", "up", "-d"])).stderr_to_stdout().read()?;
    ensure!(!said.contains("Recreat"), "compose would change: {said}");
    stack.xr(&["doctor"])?.exits(0);
    Ok(())
}

#[test]
fn data_of_every_kind_and_files_that_compose_writes_survive_an_update_and_a_rollback() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    // A network of the test's own, by its port.
    let (high, low) = (stack.port / 250 % 250, stack.port % 250);
    let (subnet, address) = (format!("10.{high}.{low}.0/24"), format!("10.{high}.{low}.10"));
    let compose = KINDS.replace("IMAGE", &image).replace("SUBNET", &subnet).replace("ADDRESS", &address);
    std::fs::write(stack.root.join("app.env"), "A=1\n")?;
    stack.write_env_at_root("COMPOSE_PROFILES=extra\nTOKEN=s3cr3t\n")?;
    release(&stack, "v1.0.0", &[("compose.yaml", &compose)])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    for service in SERVERS {
        if service != "backup" {
            sh(&stack, service, &format!("echo {service} > /data/mark"))?;
        }
    }
    sh(&stack, "unnamed", "echo more > /more/mark")?;
    assert_nothing_is_lost(&stack, ":7.0", &address)?;

    release(&stack, "v1.1.0", &[("compose.yaml", &compose.replace("7.0", "7.2"))])?;
    stack.git(&["checkout", "-q", "v1.0.0"])?;
    stack.xr(&["install", "--yes", "--version", "v1.1.0"])?.exits(0);
    assert_nothing_is_lost(&stack, ":7.2", &address)?;
    stack.xr(&["rollback", "--yes"])?.exits(0);
    assert_nothing_is_lost(&stack, ":7.0", &address)?;

    // A volume without a name goes only when it is named.
    let volumes = || stack.docker(&["volume", "ls", "-q"]);
    let kept =
        stack.docker(&["inspect", "--format={{range .Mounts}}{{.Name}} {{end}}", &stack.container("cache")?.id])?;
    stack.xr(&["uninstall", "--yes"])?.exits(0);
    ensure!(volumes()?.contains(kept.trim()), "{kept} is gone");
    stack.docker(&["volume", "rm", kept.trim()])?;
    Ok(())
}

/// A compose file in a folder, with an include and settings outside of it, settings that need not be there, and a secret that
/// only the settings have.
const SPREAD: &str = r#"
include: [../common/web.yml]
services:
  other:
    image: IMAGE:7.0
    env_file: [{path: ../common/all.env}, {path: app.env, required: false}]
    secrets: [token]
secrets: {token: {environment: TOKEN}}
"#;

#[test]
fn what_stands_outside_composes_folder_is_the_releases_and_a_changed_secret_reaches_its_container() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    stack.unpack(&[("docker/.env", &(stack.file(".env")? + "TOKEN=old\n")), ("docker/app.env", "OWN=1\n")])?;
    let compose = SPREAD.replace("IMAGE", &image);
    for (version, word) in [("v1.0.0", "one"), ("v1.1.0", "two")] {
        let web = format!("services: {{web: {{image: \"{image}:7.0\", environment: {{WORD: {word}}}}}}}\n");
        let all = format!("ALL={word}\n");
        let files =
            [("docker/docker-compose.yml", compose.as_str()), ("common/web.yml", &web), ("common/all.env", &all)];
        release(&stack, version, &files)?;
    }
    stack.git(&["checkout", "-q", "v1.0.0"])?;
    let says = |wanted: &str| -> Result<()> {
        let other = sh(&stack, "other", "echo $ALL $OWN; cat /run/secrets/token")?;
        assert_eq!(sh(&stack, "web", "echo $WORD")? + " " + &other, wanted);
        stack.xr(&["doctor"])?.exits(0);
        Ok(())
    };
    stack.xr(&["install", "--yes"])?.exits(0);
    says("one one 1\nold")?;
    stack.xr(&["install", "--yes", "--version", "v1.1.0"])?.exits(0);
    says("two two 1\nold")?;
    stack.xr(&["env", "set", "TOKEN=new"])?.exits(0);
    stack.xr(&["install", "--yes"])?.exits(0);
    says("two two 1\nnew")?;
    stack.unpack(&[("docker/app.env", "OWN=2\n")])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    says("two two 2\nnew")?;
    stack.xr(&["rollback", "--yes", "--to", "v1.0.0"])?.exits(0);
    says("one one 2\nold")
}

/// A compose file beside a file that its service reads.
const FOLDER: &str = r#"
services:
  web:
    image: IMAGE:7.0
    environment: {OWN: "${OWN}"}
    volumes: ["./word:/word:ro", "rows:/data"]
volumes: {rows: {}}
"#;

#[test]
fn a_release_that_moves_its_compose_files_takes_settings_and_data_along_and_back() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    let compose = FOLDER.replace("IMAGE", &image);
    stack.unpack(&[("docker/.env", &(stack.file(".env")? + "OWN=mine\n"))])?;
    release(&stack, "v1.0.0", &[("docker/docker-compose.yml", &compose), ("docker/word", "one\n")])?;
    stack.git(&["mv", "docker/docker-compose.yml", "docker/word", "."])?;
    std::fs::create_dir(stack.root.join("deploy"))?;
    stack.git(&["mv", "docker-compose.yml", "word", "deploy"])?;
    release(&stack, "v1.1.0", &[("deploy/word", "two\n")])?;
    let falls = compose.replace("environment:", "command: 'false'\n    environment:");
    release(&stack, "v1.2.0", &[("deploy/docker-compose.yml", &falls)])?;
    stack.git(&["checkout", "-q", "v1.0.0"])?;

    let is = |word: &str, folder: &str, gone: &str| -> Result<()> {
        assert_eq!(sh(&stack, "web", "cat /word /data/mark; echo $OWN")?, format!("{word}\nrow\nmine"));
        ensure!(stack.file(&format!("{folder}/.env"))?.contains("OWN=mine"), "no settings in {folder}");
        ensure!(!stack.root.join(gone).exists(), "{gone} is still there");
        stack.xr(&["doctor"])?.exits(0);
        Ok(())
    };
    stack.xr(&["install", "--yes"])?.exits(0);
    sh(&stack, "web", "echo row > /data/mark")?;
    is("one", "docker", "deploy")?;
    stack.xr(&["install", "--yes", "--version", "v1.2.0"])?.exits(3).says("v1.0.0 is healthy");
    is("one", "docker", "deploy")?;
    // Somebody's own file stands where the settings would go.
    stack.unpack(&[("deploy/.env", "THEIRS=1\n")])?;
    stack.xr(&["install", "--yes", "--version", "v1.1.0"])?.exits(1).says("deploy/.env").says("hint: look at it");
    assert_eq!(stack.file("deploy/.env")?, "THEIRS=1\n");
    std::fs::remove_dir_all(stack.root.join("deploy"))?;
    stack.xr(&["install", "--yes", "--version", "v1.1.0"])?.exits(0);
    is("two", "deploy", "docker")?;
    stack.xr(&["rollback", "--yes"])?.exits(0);
    is("one", "docker", "deploy")
}

/// Data in a folder of the admin's, made with a password that looks like nobody chose it.
const LIVE: &str = r#"
services:
  db:
    image: IMAGE:7.0
    env_file: .env
    volumes: ["./data/pg:/data"]
  app:
    image: IMAGE:7.0
    environment: {DATABASE_URL: "postgres://postgres:${POSTGRES_PASSWORD}@db/postgres"}
    depends_on: [db]
"#;

#[test]
fn a_password_that_data_were_made_with_is_never_replaced_and_a_running_stacks_volumes_are_taken_over() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    stack.write_env_at_root("POSTGRES_PASSWORD=postgres\n")?;
    let template = ".env.example";
    let compose = LIVE.replace("IMAGE", &image);
    release(
        &stack,
        "v1.0.0",
        &[("compose.yaml", &compose), (template, "POSTGRES_PASSWORD=change-me\nCOMPOSE_PROJECT_NAME=\nPORT=\n")],
    )?;
    stack.with_environment(duct::cmd("docker", ["compose", "up", "-d"])).stdout_null().stderr_null().run()?;
    sh(&stack, "db", "echo row > /data/mark")?;
    sh(&stack, "app", "echo file > /data/mark")?;
    // What xr finds is not quite what runs: the container of the application has to be made anew.
    release(&stack, "v1.1.0", &[("compose.yaml", &compose.replace("depends_on", "labels: [new=1]\n    depends_on"))])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    ensure!(stack.file(".env")?.contains("POSTGRES_PASSWORD=postgres\n"), "{}", stack.file(".env")?);
    assert_eq!(sh(&stack, "db", "cat /data/mark; echo $POSTGRES_PASSWORD")?, "row\npostgres");
    assert_eq!(sh(&stack, "app", "cat /data/mark")?, "file");
    Ok(())
}

/// Up, and then it ends again and again.
const FALLS: &str = r#"
services:
  app:
    image: IMAGE:TAG
    restart: always
    command: COMMAND
    ports: ["${PORT}:80"]
"#;

#[test]
fn a_version_that_crashes_again_and_again_is_rolled_back_and_mended_by_the_next() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    let falls =
        |tag: &str, command: &str| FALLS.replace("IMAGE", &image).replace("TAG", tag).replace("COMMAND", command);
    let works = "/server";
    // As long as it was watched it did not fall.
    let crashes = "sh -c 'httpd -p 80 -h /www; while [ ! -e /data/fall ]; do sleep 0.2; done; exit 3'";
    release(&stack, "v1.0.0", &[("compose.yaml", &falls("7.0", works))])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    for back in [true, false] {
        let version = if back { "v1.1.0" } else { "v1.2.0" };
        release(&stack, version, &[("compose.yaml", &falls("7.2", crashes))])?;
        stack.xr(&["install", "--yes"])?.exits(0);
        sh(&stack, "app", "touch /data/fall")?;
        let crashed = || stack.docker(&["inspect", "--format={{.RestartCount}}", &stack.container("app")?.id]);
        xr_lab::wait_for("crashes", crate::support::PATIENCE, || crashed().is_ok_and(|count| count.trim() > "1"))?;
        stack.xr(&["doctor"])?.exits(6);
        if back {
            stack.xr(&["rollback", "--yes"])?.exits(0);
            assert_eq!(stack.http("GET", "/")?.body.trim(), "7.0");
        } else {
            release(&stack, "v1.3.0", &[("compose.yaml", &falls("7.0", works))])?;
            stack.xr(&["install", "--yes"])?.exits(0);
        }
        assert_eq!(stack.http("GET", "/")?.body.trim(), "7.0");
        assert_eq!(sh(&stack, "app", "rm /data/fall; ls /data")?, "at-work", "the data are those of before");
    }
    Ok(())
}

/// Nobody says that the application needs the database, which publishes its port.
const UNORDERED: &str = r#"
services:
  app:
    image: IMAGE:7.0
    restart: always
    command: sh -c 'wget -q -O /dev/null http://db/ && exec /server'
  db:
    image: IMAGE:7.0
    command: sh -c 'sleep 4; exec /server'
    ports: ["${PORT}:80"]
  graph:
    image: IMAGE:7.2
    deploy: {replicas: 1}
  checked:
    image: IMAGE:7.0
    healthcheck: {test: ["CMD", "/bin/true"], interval: 1s, retries: 2}
"#;

#[test]
fn what_nobody_ordered_comes_up_as_with_compose_and_what_a_failed_release_left_out_stays() -> Result<()> {
    let stack = Stack::unpacked()?;
    let compose = UNORDERED.replace("IMAGE", &published(&stack)?);
    release(&stack, "v1.0.0", &[("compose.yaml", &compose)])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    stack.xr(&["stop", "--yes"])?.exits(0);
    stack.xr(&["start", "--yes"])?.exits(0);
    assert_eq!(stack.http("GET", "/")?.body.trim(), "7.0");
    let graph = stack.container("graph")?;
    let fails = compose.replace("replicas: 1", "replicas: 0").replace("/bin/true", "/bin/false");
    let fails = fails.replace("IMAGE:7.0\n    healthcheck", "IMAGE:7.2\n    healthcheck");
    release(&stack, "v1.1.0", &[("compose.yaml", &fails), ("xr.toml", "[services.checked]\npatience = \"5s\"\n")])?;
    stack.xr(&["install", "--yes"])?.exits(3);
    let after = stack.container("graph")?;
    assert_eq!((graph.id, "running"), (after.id, after.state.as_str()));
    Ok(())
}

/// An image that is built from the tree, and data under a name.
const OWN: &str = r#"
services:
  app:
    build: app
    image: IMAGE:7.0
    volumes: ["rows:/data"]
volumes: {rows: {}}
"#;

#[test]
fn data_under_another_name_and_what_is_missing_are_refused_and_an_image_is_built_whatever_a_registry_has() -> Result<()>
{
    let stack = Stack::unpacked()?;
    // The registry has an image of the same name, of somebody else's.
    let (base, image) = (published(&stack)?, format!("{}/{}/app", stack.lab.registry().address(), stack.project));
    stack.lab.registry().push(stack.lab.engine(), "busybox", &format!("{}/app:7.0", stack.project))?;
    let compose = OWN.replace("IMAGE", &image);
    let dockerfile = format!("FROM {base}:7.2\nLABEL made=here\n");
    release(&stack, "v1.0.0", &[("compose.yaml", &compose), ("app/Dockerfile", &dockerfile)])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    let made = || stack.docker(&["inspect", "--format={{.Config.Labels.made}}", &stack.container("app")?.id]);
    assert_eq!(made()?.trim(), "here");
    sh(&stack, "app", "echo row > /data/mark")?;
    let before = stack.containers()?;

    release(&stack, "v1.1.0", &[("compose.yaml", &compose.replace("rows", "lines"))])?;
    release(&stack, "v1.2.0", &[("compose.yaml", &compose.replace("{}", "{external: true, name: elsewhere-xr}"))])?;
    stack.git(&["checkout", "-q", "v1.0.0"])?;
    let to = |version: &'static str| ["install", "--yes", "--version", version];
    let missing = stack.xr(&to("v1.2.0"))?.exits(1);
    missing.says("volume elsewhere-xr").says("hint: docker volume create elsewhere-xr");
    let refused = stack.xr(&to("v1.1.0"))?.exits(1);
    let lines = format!("{}_lines", stack.project);
    let refused = refused.says(&format!("volume {lines} at /data: the new one is empty")).says("--accept-empty-data");
    assert_eq!(before, stack.containers()?);

    // As it is told to.
    let hint =
        refused.stderr.lines().find_map(|line| line.split_once("docker run --rm").map(|(_, rest)| rest.to_owned()));
    let command = hint.unwrap_or_default();
    let command = format!("docker run --rm{}", command.split(", then again").next().unwrap_or_default());
    stack.xr(&["stop"])?.exits(0);
    stack.with_environment(duct::cmd("sh", ["-c", &command])).run()?;
    stack.xr(&to("v1.1.0"))?.exits(0);
    assert_eq!(sh(&stack, "app", "cat /data/mark")?, "row");
    ensure!(stack.container("app")?.id != before[0].id, "nothing was made anew");
    Ok(())
}

/// A server that is started again and again once it is told to fall, and one with data.
const STATES: &str = r#"
services:
  app:
    image: IMAGE:TAG
    restart: always
    command: sh -c 'httpd -p 80 -h /www; until grep -qs yes /fall; do sleep 0.2; done; exit 3'
    stop_grace_period: 1s
    ports: ["${PORT}:80"]
  db:
    image: IMAGE:TAG
    volumes: ["rows:/data"]
volumes: {rows: {}}
"#;

/// It has fallen so often that the engine waits some seconds before it tries again, and then it would run: what finds it
/// finds it restarting, however slow the machine is.
const RESTARTING: &str = "docker exec $1 sh -c 'echo yes > /fall'; again=0
    until [ $(docker inspect -f '{{.RestartCount}}' $1) -ge 6 ]; do sleep 0.2; again=$((again + 1)); [ $again -lt 200 ]; done
    none=$(mktemp); docker cp $none $1:/fall; rm $none";

/// How a container may be found, and what makes it so: `$1` is its id, `$2` its name.
const BROKEN: [(&str, &str, &str); 9] = [
    ("restarting", "app", RESTARTING),
    (
        "off its network",
        "db",
        "docker network disconnect -f $(docker inspect -f '{{range $n, $_ := .NetworkSettings.Networks}}{{$n}}{{end}}' $1) $1",
    ),
    ("paused", "db", "docker pause $1"),
    ("removed", "app", "docker rm -f $1"),
    ("killed", "db", "docker kill $1"),
    ("renamed by compose", "app", "docker rename $1 0123456789ab_$2"),
    ("half created", "db", "docker rm -f $1 && docker compose create db"),
    ("stopped", "app", "docker stop -t0 $1"),
    (
        "without the network that it was on",
        "app",
        "ids=$(docker ps -q --filter network=${2%-app-1}_default); docker stop -t0 $ids; docker network rm ${2%-app-1}_default",
    ),
];

#[test]
fn a_rollback_and_a_start_work_from_any_state_that_containers_can_be_in() -> Result<()> {
    let stack = Stack::unpacked()?;
    let image = published(&stack)?;
    let compose = |tag: &str| STATES.replace("IMAGE", &image).replace("TAG", tag);
    release(&stack, "v1.0.0", &[("compose.yaml", &compose("7.0"))])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    sh(&stack, "db", "echo row > /data/mark")?;
    release(&stack, "v1.1.0", &[("compose.yaml", &compose("7.2"))])?;
    stack.xr(&["install", "--yes"])?.exits(0);
    let broken = |service: &str, script: &str| -> Result<()> {
        let found = stack.container(service)?;
        stack
            .with_environment(duct::cmd("sh", ["-ec", script, "sh", &found.id, &found.name]))
            .stdout_null()
            .stderr_null()
            .run()?;
        Ok(())
    };
    let serves = |version: &str, state: &str| -> Result<()> {
        assert_eq!(stack.http("GET", "/")?.body.trim(), version, "{state}");
        assert_eq!(sh(&stack, "db", "cat /data/mark")?, "row", "{state}");
        assert_eq!(stack.containers()?.len(), 2, "{state}: {:#?}", stack.containers()?);
        stack.xr(&["status"])?.exits(0);
        Ok(())
    };
    for (state, service, script) in sample(4, &BROKEN) {
        broken(service, script)?;
        stack.xr(&["start", "--yes"])?.exits(0);
        serves("7.2", state)?;
        broken(service, script)?;
        stack.xr(&["rollback", "--yes", "--to", "v1.0.0"])?.exits(0);
        serves("7.0", state)?;
        stack.xr(&["rollback", "--yes", "--to", "v1.1.0"])?.exits(0);
        serves("7.2", state)?;
    }
    Ok(())
}
