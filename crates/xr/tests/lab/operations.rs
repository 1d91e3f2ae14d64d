//! Every recipe of docs/operations.md, run by `sh` as it stands there, in the situation that it is for. The page is the
//! source: a recipe without a situation here fails, and so does a situation without a recipe.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use duct::cmd;
use rustix::process::Signal;
use xr_lab::{Image, Lab, Proxy, Trouble, wait_for};

use crate::support::disk::Disk;
use crate::support::recipes::{Recipe, fill_in, recipes};
use crate::support::{Background, Done, PATIENCE, Setup, Stack, mode};

/// v1.2.0 never gets healthy, and that is found out soon.
const MANIFEST: &str = "[services.server]\npatience = \"8s\"\n\n[health]\nsettle = \"200ms\"\n";
const BRISK: &str = "[network]\npatience = \"4s\"\ntries = 1\n";
const UPDATE: [&str; 2] = ["update", "--yes"];

/// A stack, its disk, its way to the registry, and the page; situations follow one another on it.
struct Situation {
    // Dropped before the stack whose folder it is mounted in.
    disk: Disk,
    stack: Stack,
    proxy: Proxy,
    page: Vec<Recipe>,
    prefix: &'static str,
}

impl Situation {
    /// `prefix` is the name of images of the test's own, so that they can be pushed again.
    fn new(prefix: &'static str) -> Result<Self> {
        let page = recipes()?;
        let lab = Lab::attach_or_up()?;
        for version in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] {
            lab.publish_as(version, prefix)?;
        }
        let proxy = Proxy::before(lab.registry().port())?;
        let images = format!("{}/{prefix}", proxy.host());
        let stack = Stack::new(&Setup { manifest: MANIFEST, env: &[("IMAGE_PREFIX", &images)], ..Setup::default() })?;
        let disk = Disk::under(&stack.root.join("docker"), 96, &stack.scratch("disk")?)?;
        stack.xr(&["install", "--yes"])?.exits(0);
        fs::write(stack.root.join(".xr/site.toml"), BRISK)?;
        stack.visit()?;
        Ok(Self { disk, stack, proxy, page, prefix })
    }

    /// Runs a recipe with these values for its placeholders; standard output and error together, in `stdout`.
    fn copy(&self, when: &str, values: &[(&'static str, &str)]) -> Result<Done> {
        let recipe = self.page.iter().find(|recipe| recipe.kind == "sh" && recipe.when == when);
        let recipe = recipe.with_context(|| format!("the page has no recipe for: {when}"))?;
        self.run(&recipe.text, values)
    }

    fn run(&self, text: &str, values: &[(&'static str, &str)]) -> Result<Done> {
        let mut all: BTreeMap<&str, String> = values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.insert("/srv/product", self.stack.root.display().to_string());
        all.insert("PROJECT", self.stack.project.clone());
        let script = fill_in(text, &all);
        let xr = PathBuf::from(env!("CARGO_BIN_EXE_xr"));
        let path = format!("{}:{}", xr.parent().context("no folder")?.display(), std::env::var("PATH")?);
        let shell = self.stack.with_environment(cmd!("sh", "-c", &script).env("PATH", path)).stderr_to_stdout();
        Done::of(&["(by a recipe)", &script], shell)
    }

    /// A run of `xr` that is under way when its journal has so many lines.
    fn under_way(&self, argv: &[&str], lines: usize) -> Result<Background> {
        let journals = self.stack.journals();
        let run = self.stack.start_xr(argv)?;
        ensure!(self.stack.wait_for_lines(&run, &journals, lines)?, "it ended early: {}", run.end()?);
        Ok(run)
    }

    /// An update that was killed together with its guard.
    fn killed(&self) -> Result<()> {
        let run = self.under_way(&UPDATE, 20)?;
        run.kill_group()?;
        self.stack.kill_guards()?;
        run.end()?;
        ensure!(!self.stack.newest_run_has_ended());
        Ok(())
    }

    fn serves(&self, version: &str) -> Result<()> {
        self.stack.assert_all_of_it_is(version)
    }

    /// A container as an admin finds it in `docker inspect`.
    fn environment(&self, service: &str) -> Result<String> {
        self.stack.docker(&["inspect", "--format={{json .Config.Env}}", &self.stack.container(service)?.id])
    }
}

#[track_caller]
fn tells(done: &Done, parts: &[&str]) {
    for part in parts {
        assert!(done.stdout.contains(part), "nothing about {part:?} in {done}");
    }
    assert!(!done.stdout.contains("panicked"), "{done}");
}

fn updates(at: &Situation) -> Result<()> {
    at.copy("is there an update? Exit code 10 when there is; nothing is changed", &[])?.exits(0);
    at.stack.remote.release("v1.1.0")?;
    let before = at.stack.snapshot()?;
    let check = at.copy("is there an update? Exit code 10 when there is; nothing is changed", &[])?.exits(10);
    tells(&check, &["v1.1.0"]);
    tells(&at.copy("what an update would do", &[])?.exits(0), &["v1.1.0"]);
    assert_eq!(before, at.stack.snapshot()?);
    at.copy("update to the newest release", &[])?.exits(0);
    at.serves("v1.1.0")
}

/// What cron runs is run; systemd is not here to start units, so they are verified, and what they start is run.
fn updates_by_themselves(at: &Situation) -> Result<()> {
    let cron = at.page.iter().find(|block| block.kind == "cron").context("no crontab")?;
    let command = cron.text.split_whitespace().skip(6).collect::<Vec<_>>().join(" ");
    let units: Vec<&str> =
        at.page.iter().filter(|block| block.kind == "ini").map(|block| block.text.as_str()).collect();
    let [service, timer] = units[..] else { anyhow::bail!("not two units but {}", units.len()) };
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("no ExecStart")?;

    // What an admin has gone back from stays away until it is asked for.
    at.stack.xr(&["rollback", "--yes"])?.exits(0);
    tells(&at.run(&command, &[])?.exits(0), &["v1.1.0 was rolled back on "]);
    at.serves("v1.0.0")?;
    at.stack.xr(&["update", "--yes", "--to", "v1.1.0"])?.exits(0);
    at.stack.xr(&["update", "--yes", "--to", "v1.0.0", "--allow-downgrade"])?.exits(0);
    at.serves("v1.0.0")?;
    let done = at.run(&command, &[])?.exits(0);
    assert_eq!(done.stdout.lines().count(), 1, "{done}");
    at.serves("v1.1.0")?;
    let xr = env!("CARGO_BIN_EXE_xr");
    for command in [command, start.replace("/usr/local/bin/xr", xr)] {
        let done = at.run(&command, &[])?.exits(0);
        ensure!(done.stdout.is_empty(), "not silent: {done}");
    }

    if fs::exists("/usr/bin/systemd-analyze")? {
        let folder = at.stack.scratch("units")?;
        fs::write(folder.join("xr-update.service"), service.replace("/usr/local/bin/xr", xr))?;
        fs::write(folder.join("xr-update.timer"), timer)?;
        let files = [folder.join("xr-update.service"), folder.join("xr-update.timer")];
        let verify = cmd!("systemd-analyze", "verify", "--man=no", &files[0], &files[1]);
        let done = Done::of(&["systemd-analyze verify"], verify.unchecked())?.exits(0);
        ensure!(!done.stderr.contains("xr-update"), "{done}");
    }
    Ok(())
}

fn rollbacks(at: &Situation) -> Result<()> {
    at.copy("back to the generation that served before", &[])?.exits(0);
    at.serves("v1.0.0")?;
    at.copy("back to the newest kept generation of a version", &[("VERSION", "v1.1.0")])?.exits(0);
    at.serves("v1.1.0")?;
    at.copy("back to a generation", &[("NUMBER", "1")])?.exits(0);
    at.serves("v1.0.0")?;
    assert_eq!(at.stack.visits()?, 1);
    at.copy("take a version again that was rolled back", &[("VERSION", "v1.1.0")])?.exits(0);
    at.serves("v1.1.0")
}

fn data(at: &Situation) -> Result<()> {
    at.stack.visit()?;
    let before = at.stack.snapshot()?;
    let number = before.generation.to_string();
    tells(&at.copy("back with data: what would be lost, and since when", &[])?.exits(0), &["lost: "]);
    assert_eq!(before, at.stack.snapshot()?);
    at.copy("back with data: the version before, with the data that it had", &[])?.exits(0);
    at.serves("v1.0.0")?;
    assert_eq!(at.stack.visits()?, 1);
    let undo = "undo a rollback with data: NUMBER is the generation that served before it";
    at.copy(undo, &[("NUMBER", &number)])?.exits(0);
    at.serves("v1.1.0")?;
    assert_eq!(at.stack.visits()?, 2);

    let backups = fs::read_dir(at.stack.root.join(".xr/backups"))?;
    let mut names: Vec<String> =
        backups.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name.ends_with("-g1-postgres@postgres.sql"));
    names.sort();
    let dump = names.first().context("no dump of the first generation")?;
    let done = at.copy("look into a dump, in a database server of its own", &[("DUMP", dump)])?;
    let restored = format!("{}-restored", at.stack.project);
    let count =
        ["exec", &restored, "psql", "-qAt", "-U", "restorer", "-d", "orbit", "-c", "SELECT count(*) FROM visits"];
    let counted = at.stack.docker(&count);
    at.copy("done with the dump", &[])?.exits(0);
    tells(&done.exits(0), &["OK", "orbit"]);
    ensure!(at.stack.docker(&["inspect", &restored]).is_err(), "it is still there");
    assert_eq!(counted?, "1");
    at.serves("v1.1.0")?;
    assert_eq!(at.stack.visits()?, 2);
    Ok(())
}

fn interruptions(at: &Situation) -> Result<()> {
    let down = ["update", "--yes", "--to", "v1.0.0", "--allow-downgrade"];
    let back = || at.stack.xr(&down).map(|done| drop(done.exits(0)));
    at.killed()?;
    at.copy("killed: go on to the version that the run was to bring", &[])?.exits(0);
    at.serves("v1.1.0")?;
    back()?;
    at.killed()?;
    at.copy("killed: go back to the old version", &[])?.exits(0);
    at.serves("v1.0.0")?;
    at.killed()?;
    let done = at.copy("killed, or the power went: end the run whichever way is shorter", &[])?.exits(0);
    let version = at.stack.version()?;
    tells(&done, &[&version]);
    at.serves(&version)?;
    if version == "v1.1.0" {
        back()?;
    }

    let run = at.under_way(&UPDATE, 5)?;
    run.signal(Signal::HUP)?;
    let terminal = "the terminal is gone: how far the run is, and how it ended";
    tells(&at.copy(terminal, &[])?.exits(0), &["update"]);
    at.stack.xr(&UPDATE)?.exits(5);
    at.copy("exit code 5: wait for the other run", &[])?.exits(0);
    run.end()?.exits(0);
    at.serves("v1.1.0")?;
    tells(&at.copy(terminal, &[])?.exits(0), &["v1.1.0"]);
    Ok(())
}

fn failed_updates(at: &Situation) -> Result<()> {
    let before = at.stack.snapshot()?;
    at.stack.remote.release("v1.2.0")?;
    at.stack.xr(&UPDATE)?.exits(3);
    tells(&at.copy("exit code 3: what failed, and what serves", &[])?.exits(0), &["v1.2.0", "server", "v1.1.0"]);
    at.serves("v1.1.0")?;

    // The undo finds no room for `.env`.
    let run = at.stack.start_xr(&UPDATE)?;
    wait_for("the new settings", PATIENCE, || {
        at.stack.setting("IMAGE_TAG").is_ok_and(|tag| tag == "v1.2.0") || run.ended()
    })?;
    at.disk.fill()?;
    // The guard would go on trying.
    at.stack.wait_until_nobody_is_at_work()?;
    run.end()?.exits(4).says("No space left on device");
    tells(&at.copy("exit code 4: what is wrong", &[])?.exits(6), &["v1.1.0", "/docker", "xr recover"]);
    tells(&at.copy("which disk is full, and of what", &[])?.exits(6), &["100%", "/docker"]);
    assert_eq!(at.stack.version()?, "v1.1.0");
    at.disk.clear()?;
    tells(&at.copy("exit code 4: the cause is mended", &[])?.exits(0), &["v1.1.0"]);
    at.serves("v1.1.0")?;
    assert_eq!(before.ids(), at.stack.snapshot()?.ids());

    // A disk that is full before a run.
    at.stack.remote.release("v1.3.0")?;
    at.disk.fill()?;
    at.stack.xr(&UPDATE)?.exits(1).says("too little disk");
    at.copy("give up old generations, backups and images", &[])?.exits(0);
    at.disk.clear()?;
    at.copy("there is room again", &[])?.exits(0);
    at.serves("v1.3.0")
}

fn registries_and_remotes(at: &Situation) -> Result<()> {
    let mended = "the registry or the git remote is well again";
    let down = ["update", "--yes", "--to", "v1.0.0", "--allow-downgrade"];
    let back = || at.stack.xr(&down).map(|done| drop(done.exits(0)));
    back()?;
    let before = at.stack.snapshot()?;
    let away = at.stack.scratch("away")?.join("remote.git");
    fs::rename(at.stack.remote.path(), &away)?;
    at.stack.xr(&UPDATE)?.exits(1).says("hint: ");
    fs::rename(&away, at.stack.remote.path())?;
    assert_eq!(before, at.stack.snapshot()?);
    at.copy(mended, &[])?.exits(0);
    at.serves("v1.3.0")?;

    back()?;
    let before = at.stack.snapshot()?;
    let worker = format!("{}/{}", at.proxy.host(), Image::Worker.name(at.prefix, "v1.3.0"));
    at.stack.docker(&["rmi", "-f", &worker])?;
    at.proxy.trouble("/manifests/", 1000, Trouble::Answer("503 Service Unavailable", "down"));
    at.stack.xr(&UPDATE)?.exits(75).says("hint: ");
    assert_eq!(before, at.stack.snapshot()?);
    at.proxy.behave();
    at.copy(mended, &[])?.exits(0);
    at.serves("v1.3.0")
}

fn a_tag_pushed_again(at: &Situation) -> Result<()> {
    let server = Image::Server.name(at.prefix, "v1.3.0");
    let digest = at.stack.lab.registry().repush(at.stack.lab.engine(), &server, "operations")?;
    tells(&at.copy("was a tag pushed again?", &[])?, &["orbit-server:v1.3.0", "was re-pushed"]);
    let before = at.stack.snapshot()?;
    at.stack.xr(&UPDATE)?.exits(0).says_nothing();
    assert_eq!(before, at.stack.snapshot()?);
    at.copy("the publisher says that the image pushed again is right", &[])?.exits(0);
    at.serves("v1.3.0")?;
    let ran = at.stack.digests(&at.stack.container("server")?)?;
    ensure!(ran.contains(&digest), "{ran} lacks {digest}");
    Ok(())
}

fn records(at: &Situation) -> Result<()> {
    let containers = at.stack.containers()?;
    let sound = |what: &str| -> Result<()> {
        at.stack.xr(&UPDATE)?.exits(0);
        assert_eq!(containers, at.stack.containers()?, "{what}");
        at.stack.xr(&["status"])?.exits(0);
        Ok(())
    };
    let number = at.stack.generation()?;
    let record = |number: u32| at.stack.root.join(format!(".xr/generations/{number}/generation.json"));

    let journal = at.stack.journals().pop().context("no journal")?;
    fs::write(&journal, "}{\n}{\n")?;
    at.stack.xr(&UPDATE)?.exits(1).says(".damaged && xr doctor");
    let file = journal.display().to_string();
    at.copy("a journal is damaged: what its run did is then told by what runs", &[("FILE", &file)])?.exits(0);
    sound("journal")?;

    let whole = fs::read_to_string(record(number))?;
    fs::write(record(number), whole.replace("\"format\": 1", "\"format\": 2"))?;
    at.stack.xr(&UPDATE)?.exits(1).says("written by a newer xr").says("xr --version");
    tells(&at.copy("a newer xr wrote it: use that one; this is", &[])?.exits(0), &[env!("CARGO_PKG_VERSION")]);
    fs::write(record(number), whole)?;
    sound("newer")?;

    let pointer = "`.xr/current`";
    fs::write(at.stack.root.join(".xr/current"), "99\n")?;
    at.stack.xr(&UPDATE)?.exits(1).says("there is no generation 99");
    let now = number.to_string();
    at.copy(".xr/current names no generation: docker ps shows what runs", &[("NUMBER", &now)])?.exits(0);
    sound(pointer)?;

    let entries = fs::read_dir(at.stack.root.join(".xr/generations"))?.flatten();
    let older = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let older =
        older.filter(|other| *other < number && record(*other).exists()).max().context("no older generation")?;
    fs::write(record(older), "{")?;
    at.stack.xr(&["history"])?.exits(1).says("cannot be gone back to");
    let set_aside = "generation.json of an older generation is damaged: it cannot be gone back to then";
    at.copy(set_aside, &[("NUMBER", &older.to_string())])?.exits(0);
    at.stack.xr(&["history"])?.exits(0);
    sound("an older generation")?;

    fs::write(record(number), "{")?;
    at.stack.xr(&UPDATE)?.exits(1).says("&& xr install");
    let anew = "generation.json of what serves is damaged: what runs is recorded anew, nothing is replaced";
    at.copy(anew, &[("NUMBER", &now)])?.exits(0);
    sound("the generation that serves")?;
    at.serves("v1.3.0")
}

fn changes_by_hand(at: &Situation) -> Result<()> {
    let agent = at.stack.container("agent")?;
    at.stack.docker(&["stop", "-t", "0", &agent.id])?;
    at.copy("a container was stopped", &[])?.exits(0);
    at.serves("v1.3.0")?;
    assert_eq!(at.stack.container("agent")?.id, agent.id, "started, not replaced");

    at.stack.docker(&["rm", "-f", &agent.id])?;
    at.copy("a container was removed", &[])?.exits(0);
    at.serves("v1.3.0")?;
    Ok(())
}

fn settings(at: &Situation) -> Result<()> {
    let env = at.stack.env()?;
    let level = at.stack.setting("LOG_LEVEL")?;
    at.stack.write_env(&format!("{env}LOG_LEVEL={level}\n"))?;
    tells(&at.copy("a key is set twice: where", &[])?.exits(6), &["LOG_LEVEL", ".env:"]);
    at.copy("a key is set twice: keep the line that counts, which is the last", &[])?.exits(0);
    assert_eq!(at.stack.env()?.matches("\nLOG_LEVEL=").count(), 1);
    at.serves("v1.3.0")?;

    let secret = at.stack.setting("DB_PASSWORD")?;
    at.stack.write_env(&at.stack.env()?.replace(&format!("DB_PASSWORD={secret}\n"), ""))?;
    at.stack.xr(&["install", "--yes"])?.exits(3).says("password authentication failed");
    let number = at.stack.generation()?.to_string();
    let values = [("KEY", "DB_PASSWORD"), ("NUMBER", number.as_str())];
    at.copy("a required key is missing: what serves has it", &values)?.exits(0);
    assert_eq!(at.stack.setting("DB_PASSWORD")?, secret);
    assert_eq!(mode(&at.stack.env_path())?, 0o600);
    at.serves("v1.3.0")?;

    at.copy("set a key and apply it", &[("KEY", "LOG_LEVEL"), ("VALUE", "DEBUG")])?.exits(0);
    ensure!(at.environment("server")?.contains("LOG_LEVEL=DEBUG"));
    at.serves("v1.3.0")?;

    let file = at.stack.scratch("secret")?.join("value");
    fs::write(&file, "0123456789abcdef\n")?;
    let file = file.display().to_string();
    let done = at.copy("set a secret: never as an argument", &[("KEY", "WORKER_API_KEY"), ("FILE", &file)])?.exits(0);
    assert_eq!(at.stack.setting("WORKER_API_KEY")?, "0123456789abcdef");
    done.never_says("0123456789abcdef\n-");
    Ok(())
}

fn the_end(at: &Situation) -> Result<()> {
    let before = at.stack.snapshot()?;
    at.copy("what an uninstall would remove", &[])?.exits(0);
    assert_eq!(before, at.stack.snapshot()?);
    let visits = at.stack.visits()?;
    at.copy("remove containers and networks; data, images, .env and .xr/ stay", &[])?.exits(0);
    assert_eq!(at.stack.containers()?, []);
    at.copy("and bring it up again", &[])?.exits(0);
    at.serves("v1.3.0")?;
    assert_eq!(at.stack.visits()?, visits);

    let label = format!("label=com.docker.compose.project={}", at.stack.project);
    let volumes = || at.stack.docker(&["volume", "ls", "-q", "--filter", &label]);
    at.copy("remove the data too", &[])?.exits(0);
    assert_eq!((at.stack.containers()?, volumes()?.as_str()), (Vec::new(), ""));
    ensure!(at.stack.env_path().exists() && at.stack.root.join(".xr").exists());
    let all = "remove all: images, .env, .xr/, and VERSION where the publisher has none and xr made it";
    at.copy(all, &[])?.exits(0);
    ensure!(!at.stack.env_path().exists() && !at.stack.root.join(".xr").exists());
    Ok(())
}

#[test]
fn every_recipe_of_the_page_has_a_situation() -> Result<()> {
    let source = include_str!("operations.rs");
    let page = recipes()?;
    for recipe in page.iter().filter(|recipe| recipe.kind == "sh") {
        ensure!(source.contains(&format!("\"{}\"", recipe.when)), "no situation for this recipe: {}", recipe.when);
    }
    let kinds = page.iter().filter(|block| block.kind != "sh").map(|block| block.kind.as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), ["cron", "ini", "ini"], "blocks of a kind that nobody tries");
    Ok(())
}

#[test]
fn recipes_for_updates_rollbacks_and_data_do_what_the_page_says() -> Result<()> {
    let at = Situation::new("operations-updates")?;
    updates(&at).context("updates")?;
    updates_by_themselves(&at).context("cron and timers")?;
    rollbacks(&at).context("rollbacks")?;
    data(&at).context("data")?;
    at.stack.assert_compose_agrees()
}

#[test]
fn recipes_for_runs_that_are_interrupted_or_fail_do_what_the_page_says() -> Result<()> {
    let at = Situation::new("operations-runs")?;
    at.stack.remote.release("v1.1.0")?;
    interruptions(&at).context("interruptions")?;
    failed_updates(&at).context("failed updates")?;
    at.stack.assert_compose_agrees()
}

#[test]
fn recipes_for_registries_records_settings_and_the_end_do_what_the_page_says() -> Result<()> {
    let at = Situation::new("operations-rest")?;
    at.stack.remote.release("v1.3.0")?;
    at.stack.xr(&UPDATE)?.exits(0);
    changes_by_hand(&at).context("changes by hand")?;
    settings(&at).context("settings")?;
    registries_and_remotes(&at).context("registries and remotes")?;
    records(&at).context("records")?;
    a_tag_pushed_again(&at).context("a tag pushed again")?;
    the_end(&at).context("the end")
}
