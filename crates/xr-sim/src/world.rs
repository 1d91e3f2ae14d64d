//! The example product on a simulated engine: a clone of its repository, and xr to run there.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    sync::MutexGuard,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use duct::{Expression, cmd};
use serde_json::Value;
use tempfile::TempDir;
use xr_lab::{GitRemote, Layout, archive_service, cargo, with_environment};

use crate::{CrashPoint, Engine, Server, orbit};

/// After this a run hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Services of the example product, with its own database, and one more: [`archive_service`].
const SERVICES: [&str; 7] = ["agent", "archive", "frontend", "nginx", "postgres", "redis", "server"];

/// A stack on a simulated engine, gone when dropped.
#[derive(Debug)]
pub struct World {
    server: Server,
    remote: GitRemote,
    root: PathBuf,
    project: String,
    port: u16,
    programs: Programs,
    dir: TempDir,
}

/// How a world once was.
#[derive(Debug)]
pub struct Kept {
    folder: TempDir,
    engine: Engine,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `xr`
    pub xr: PathBuf,
    /// `xr-sim-docker`
    pub docker: PathBuf,
    /// `libxr_faults.so`
    pub faults: PathBuf,
}

impl Programs {
    /// Builds them, for debugging.
    ///
    /// # Errors
    /// When cargo refuses.
    pub fn build() -> Result<Self> {
        // with xtask they have the features that the tests were compiled with
        cargo(&["build", "--quiet", "-p", "xr", "-p", "xr-sim", "-p", "xr-faults", "-p", "xtask"]).run()?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Layout::workspace().join("target"), PathBuf::from);
        let file = |name: &str| {
            let path = target.join("debug").join(name);
            ensure!(path.exists(), "{} was not built", path.display());
            Ok(path)
        };
        Ok(Self { xr: file("xr")?, docker: file("xr-sim-docker")?, faults: file("libxr_faults.so")? })
    }
}

/// How and where a run is to be killed, or to fail.
#[derive(Clone, Debug, Default)]
pub struct Killed {
    /// Points for the library that is preloaded, in its own words.
    pub points: String,
    /// The n-th call that changes something, whether it takes effect, and whether compose ends too.
    pub call: Option<(u64, bool, bool)>,
}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Exit code; none when it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, that of its guards too.
    pub stderr: String,
}

impl World {
    /// A clone of the product that has these versions and this `xr.toml`, with settings, and nothing installed. `port` is
    /// its own.
    ///
    /// # Errors
    /// When git or the file system refuse.
    pub fn new(programs: &Programs, port: u16, manifest: &str, versions: &[&str]) -> Result<Self> {
        // In memory where there is such a place: what is wanted of the disk is its order, not its speed.
        let shm = Path::new("/dev/shm");
        let dir = tempfile::Builder::new().prefix("xr-sim-").tempdir_in(if shm.is_dir() {
            shm.to_owned()
        } else {
            std::env::temp_dir()
        })?;
        let home = dir.path().join("home");
        let bin = dir.path().join("bin");
        let publisher = dir.path().join("publisher");
        for folder in [&home, &bin, &publisher] {
            std::fs::create_dir(folder)?;
        }
        std::os::unix::fs::symlink(&programs.docker, bin.join("docker"))?;
        let plugins = home.join(".docker/cli-plugins");
        std::fs::create_dir_all(&plugins)?;
        std::os::unix::fs::symlink(&programs.docker, plugins.join("docker-compose"))?;
        let remote = GitRemote::at(&publisher, &home, &[])?;
        remote.write(archive_service(manifest).iter().map(|(path, text)| (*path, text.as_str())))?;
        for version in versions {
            remote.release(version)?;
        }
        let server = Server::start(Engine::new(orbit("acme")), &dir.path().join("docker.sock"))?;
        let root = dir.path().join("orbit");
        let project = format!("sim{port}");
        let world = Self { server, remote, root, project, port, programs: programs.clone(), dir };
        world.begin_anew()?;
        Ok(world)
    }

    /// A new clone on an empty engine.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn begin_anew(&self) -> Result<()> {
        *self.server.engine() = Engine::new(orbit("acme"));
        if self.root.exists() {
            std::fs::remove_dir_all(&self.root)?;
        }
        self.remote.clone_to(&self.root)?;
        let template = std::fs::read_to_string(self.root.join("docker/.env.example"))?;
        let own = [
            ("COMPOSE_PROJECT_NAME", self.project.clone()),
            ("HTTP_PORT", self.port.to_string()),
            ("AGENT_NAME", format!("{}-agent", self.project)),
            ("DATA_DIR", self.dir.path().join("data").display().to_string()),
            // Secrets that xr would make are other ones each time, and compose would have to be asked again.
            ("DB_PASSWORD", "0a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned()),
            ("SECRET_KEY", "feedfacefeedfacefeedfacefeedface".to_owned()),
            ("DJANGO_SUPERUSER_PASSWORD", "9f8e7d6c5b4a".to_owned()),
            ("WORKER_API_KEY", "cafecafecafecafecafecafecafecafe".to_owned()),
        ];
        let mut text: String = template
            .lines()
            .filter(|line| !own.iter().any(|(key, _)| line.starts_with(&format!("{key}="))))
            .map(|line| format!("{line}\n"))
            .collect();
        for (key, value) in own {
            text += &format!("{key}={value}\n");
        }
        std::fs::write(self.root.join("docker/.env"), text)?;
        Ok(())
    }

    /// How everything is now.
    ///
    /// # Errors
    /// When the stack's folder cannot be copied.
    pub fn keep(&self) -> Result<Kept> {
        let kept = Kept { folder: tempfile::tempdir_in(self.dir.path())?, engine: self.server.engine().clone() };
        copy(&self.root, &kept.folder.path().join("stack"))?;
        Ok(kept)
    }

    /// Makes everything as it was then.
    ///
    /// # Errors
    /// As [`World::keep`].
    pub fn put_back(&self, kept: &Kept) -> Result<()> {
        *self.server.engine() = kept.engine.clone();
        if self.root.exists() {
            std::fs::remove_dir_all(&self.root)?;
        }
        copy(&kept.folder.path().join("stack"), &self.root)
    }

    /// The stack's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `unix://…`
    pub fn docker_host(&self) -> String {
        self.server.docker_host()
    }

    /// The compose project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The engine, to look at or to change from outside.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.server.engine()
    }

    /// A program with nobody's settings around it, and the simulated engine's `docker` on its `PATH`.
    fn with_environment(&self, command: Expression) -> Expression {
        let [home, bin] = ["home", "bin"].map(|name| self.dir.path().join(name));
        with_environment(command, &self.root, &home, &self.server.docker_host(), Some(&bin))
    }

    /// Runs xr, and waits for its guard too, if it posted one.
    ///
    /// # Errors
    /// When it cannot be started, or hangs.
    pub fn xr(&self, argv: &[&str], killed: &Killed) -> Result<Reply> {
        let command = cmd(&self.programs.xr, argv)
            .env("LD_PRELOAD", &self.programs.faults)
            .env("XR_FAULTS_ROOT", &self.root)
            .env("XR_FAULTS", &killed.points)
            .env("XR_FAULTS_LOG", self.operations_path())
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            });
        // Its guard has the same standard error: it ends when both have.
        let command = self.with_environment(command).stdout_capture().stderr_capture();
        let handle = {
            // The engine answers nobody until the crash point is set.
            let mut engine = self.server.engine();
            let handle = command.start().context("xr")?;
            let group = handle.pids().first().and_then(|pid| i32::try_from(*pid).ok()).unwrap_or(0);
            engine.set_crash_point(killed.call.map(|(number, after, all)| CrashPoint { number, after, group, all }));
            handle
        };
        let Some(output) = handle.wait_timeout(PATIENCE)? else { bail!("xr {argv:?} hangs") };
        self.server.engine().set_crash_point(None);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Reply { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs xr, which must end with 0.
    ///
    /// # Errors
    /// With what it said, when it does not.
    pub fn xr_ok(&self, argv: &[&str]) -> Result<Reply> {
        let reply = self.xr(argv, &Killed::default())?;
        ensure!(reply.code == Some(0), "xr {argv:?} ended with {:?}: {}{}", reply.code, reply.stdout, reply.stderr);
        Ok(reply)
    }

    fn operations_path(&self) -> PathBuf {
        self.dir.path().join("operations")
    }

    /// What xr has changed on the disk since this was last asked: `ROLE OPERATION PATH`.
    pub fn operations(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.operations_path()).unwrap_or_default();
        // Gone already: nothing was changed.
        let _ = std::fs::remove_file(self.operations_path());
        text.lines().map(str::to_owned).collect()
    }

    /// The version that the stack is, wholly and by every sign: containers, their names and networks, the port, VERSION,
    /// `.env`, git's HEAD, the generation, and what xr says. None when there is nothing, by every sign.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn truth(&self) -> Result<Option<String>> {
        let wrong = {
            let engine = self.server.engine();
            [engine.violations(), &engine.wrong_volumes()].concat()
        };
        ensure!(wrong.is_empty(), "{wrong:?}");
        self.no_leftovers()?;
        let current = self.root.join(".xr/current");
        if !current.exists() {
            let engine = self.server.engine();
            ensure!(engine.containers().is_empty(), "nothing is installed, and there are {}", names(&engine));
            return Ok(None);
        }
        let number = std::fs::read_to_string(current)?;
        let record = self.root.join(".xr/generations").join(number.trim()).join("generation.json");
        let record: Value = serde_json::from_str(&std::fs::read_to_string(record)?)?;
        let version = record["version"].as_str().context("no version")?.to_owned();
        self.containers_are(&version)?;
        let file = std::fs::read_to_string(self.root.join("VERSION"))?;
        ensure!(file.trim() == version, "VERSION says {file}, the generation {version}");
        let env = std::fs::read_to_string(self.root.join("docker/.env"))?;
        ensure!(env.contains(&format!("\nIMAGE_TAG={version}\n")), ".env has another IMAGE_TAG than {version}");
        let git = |argv: &[&str]| self.with_environment(cmd("git", argv)).read();
        let (head, tag) = (git(&["rev-parse", "HEAD"])?, git(&["rev-parse", &format!("{version}^{{commit}}")])?);
        ensure!(head == tag, "HEAD is at {head}, {version} at {tag}");
        let changed = git(&["status", "--porcelain"])?;
        ensure!(changed.lines().all(|line| line.ends_with(" VERSION")), "the tree is changed: {changed}");
        let status = self.xr(&["status", "--json"], &Killed::default())?;
        let said: Value = serde_json::from_str(&status.stdout).with_context(|| status.stderr.clone())?;
        ensure!(said["unfinished"].is_null(), "a run is unfinished");
        ensure!(said["version"] == version.as_str(), "xr says {}, it is {version}", said["version"]);
        for service in said["services"].as_array().into_iter().flatten() {
            ensure!(service["state"] == "running" && service["as_recorded"] == true, "{service}");
        }
        Ok(Some(version))
    }

    fn containers_are(&self, version: &str) -> Result<()> {
        let engine = self.server.engine();
        let all = engine.containers();
        ensure!(all.len() == SERVICES.len(), "there are {}", names(&engine));
        let network = format!("{}_default", self.project);
        for service in SERVICES {
            let name = match service {
                "agent" => format!("{}-agent", self.project),
                _ => format!("{}-{service}-1", self.project),
            };
            let found = all.iter().find(|c| c.service() == service).with_context(|| format!("no {service}"))?;
            ensure!(found.name == name, "{service} is called {}", found.name);
            ensure!(found.runs(), "{service} does not run");
            ensure!(found.restart() == "always", "{service} restarts {}", found.restart());
            let own = found.image().contains("/orbit-");
            ensure!(!own || found.image().ends_with(&format!(":{version}")), "{service} is {}", found.image());
            let aliases =
                &found.networks.get(&network).with_context(|| format!("{service} is on no network"))?["Aliases"];
            ensure!(aliases.as_array().is_some_and(|all| all.iter().any(|a| a == service)), "{service} is {aliases}");
        }
        let store = format!("{}_store", self.project);
        let release = engine.network(&store).map(|network| network["Labels"]["release"].clone());
        ensure!(release.as_ref().is_ok_and(|is| is == version), "the network {store} is that of {release:?}");
        ensure!(
            all.iter().any(|c| c.service() == "archive" && c.networks.contains_key(&store)),
            "nobody is on {store}"
        );
        let note = all.iter().find(|c| c.service() == "archive").and_then(|c| c.files.get("/etc/note"));
        ensure!(note.is_some_and(|note| *note == format!("archive of {version}\n")), "its note says {note:?}");
        let answer = engine.answer(self.port);
        ensure!(answer.as_deref() == Some(version), "the port answers {answer:?} and not {version}");
        Ok(())
    }

    /// Nothing of xr's lies about.
    fn no_leftovers(&self) -> Result<()> {
        for folder in [".", "docker", ".xr", ".xr/generations", ".xr/journal"] {
            let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { continue };
            for entry in entries {
                let name = entry?.file_name().to_string_lossy().into_owned();
                ensure!(!name.ends_with(".xr-new"), "{folder}/{name} was left");
            }
        }
        Ok(())
    }
}

/// With times and permissions: git goes by them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    cmd!("cp", "-a", from, to).run().with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn names(engine: &Engine) -> String {
    let all = engine.containers();
    all.iter().map(|c| format!("{} ({})", c.name, c.image())).collect::<Vec<_>>().join(", ")
}
