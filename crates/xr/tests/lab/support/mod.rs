//! A stack of one's own in the shared lab: its own clone, compose project, port and folders, gone with the test.

pub mod disk;
pub mod farm;
mod http;
pub mod machine;
pub mod recipes;
mod snapshot;
mod witness;
pub mod workers;
mod xr;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use duct::{Expression, cmd};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use xr_lab::{GitRemote, LONG_FORM, Lab, wait_for, with_environment};

pub use http::{Answer, request};
pub use snapshot::{Container, Snapshot};
pub use witness::Witness;
pub use xr::{Background, Done};

/// A publisher's manifest that has what was started watched for a moment only.
pub const QUICK: &str = "[health]\nsettle = \"200ms\"\n";
/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Of the moments at which a fault may strike: the first few, those that tell most; in the long form of the tests all.
pub fn sample<T>(few: usize, all: &[T]) -> &[T] {
    let long = std::env::var_os(LONG_FORM).is_some();
    if long { all } else { all.get(..few).unwrap_or(all) }
}

/// What the stack of a test is made of.
pub struct Setup<'a> {
    /// What the publisher has released when the admin clones.
    pub versions: &'a [&'a str],
    /// The publisher's `xr.toml`; none when empty.
    pub manifest: &'a str,
    /// More files of the publisher: paths from the root, and texts.
    pub files: &'a [(&'a str, String)],
    /// Lines of the admin's `.env` that differ from the template.
    pub env: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { versions: &["v1.0.0"], manifest: QUICK, files: &[], env: &[] }
    }
}

/// A clone with its settings, and everything that it makes run.
pub struct Stack {
    pub lab: Lab,
    pub remote: GitRemote,
    pub root: PathBuf,
    pub project: String,
    pub port: u16,
    dir: TempDir,
}

impl Stack {
    /// A stack as an admin has it before `xr install`.
    pub fn new(setup: &Setup<'_>) -> Result<Self> {
        let lab = Lab::attach_or_up()?;
        let remote = lab.remote(&[])?;
        if !setup.manifest.is_empty() {
            std::fs::write(remote.work().join("xr.toml"), setup.manifest)?;
        }
        remote.write(setup.files.iter().map(|(path, text)| (*path, text.as_str())))?;
        for version in setup.versions {
            remote.release(version)?;
        }
        let dir = tempfile::Builder::new().prefix("xr-stack-").tempdir()?;
        let root = remote.clone_to(&dir.path().join("orbit"))?;
        let port = lab.ports(1)?;
        let project = format!("xrt{port}");
        let stack = Self { lab, remote, root, project, port, dir };
        stack.write_settings(setup.env)?;
        Ok(stack)
    }

    /// An empty folder for a bundle without git, with a project and a port of its own in `.env`.
    pub fn unpacked() -> Result<Self> {
        let lab = Lab::attach_or_up()?;
        let remote = lab.remote(&[])?;
        let dir = tempfile::Builder::new().prefix("xr-bundle-").tempdir()?;
        let root = dir.path().join("orbit");
        std::fs::create_dir(&root)?;
        let port = lab.ports(1)?;
        let project = format!("xrt{port}");
        std::fs::write(root.join(".env"), format!("COMPOSE_PROJECT_NAME={project}\nPORT={port}\n"))?;
        std::fs::write(root.join("xr.toml"), QUICK)?;
        Ok(Self { lab, remote, root, project, port, dir })
    }

    /// Writes files of the tree, as an archive that is unpacked over it.
    pub fn unpack(&self, files: &[(&str, &str)]) -> Result<()> {
        for (name, text) in files {
            let path = self.root.join(name);
            std::fs::create_dir_all(path.parent().context("no folder")?)?;
            // An archive makes files anew; a container keeps the one that it has mounted.
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, text)?;
        }
        Ok(())
    }

    /// A file of the tree.
    pub fn file(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(name)).with_context(|| name.to_owned())
    }

    /// A stack on which v1.0.0 serves.
    pub fn installed(setup: &Setup<'_>) -> Result<Self> {
        let stack = Self::new(setup)?;
        stack.xr(&["install", "--yes"])?.exits(0);
        assert_eq!(stack.version()?, "v1.0.0");
        Ok(stack)
    }

    /// What an admin writes: the template with what is his own.
    fn write_settings(&self, own: &[(&str, &str)]) -> Result<()> {
        let (port, agent) = (self.port.to_string(), format!("{}-agent", self.project));
        let data = self.dir.path().join("data").display().to_string();
        let settings = [
            ("COMPOSE_PROJECT_NAME", self.project.as_str()),
            ("HTTP_PORT", &port),
            ("AGENT_NAME", &agent),
            ("DATA_DIR", &data),
            ("DB_PASSWORD", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("SECRET_KEY", "feedfacefeedfacefeedfacefeedface"),
            ("DJANGO_SUPERUSER_PASSWORD", "9f8e7d6c5b4a"),
            ("WORKER_API_KEY", "cafecafecafecafecafecafecafecafe"),
        ];
        let mut text = std::fs::read_to_string(self.root.join("docker/.env.example"))?;
        for (key, value) in settings.iter().chain(own) {
            text = with_key(&text, key, value);
        }
        self.write_env(&text)
    }

    /// Adds lines to the `.env` of a stack whose compose file is at its root.
    pub fn write_env_at_root(&self, lines: &str) -> Result<()> {
        let text = self.file(".env")? + lines;
        std::fs::write(self.root.join(".env"), text)?;
        Ok(())
    }

    /// Replaces the whole of `docker/.env`.
    pub fn write_env(&self, text: &str) -> Result<()> {
        std::fs::write(self.env_path(), text)?;
        Ok(())
    }

    pub fn env_path(&self) -> PathBuf {
        self.root.join("docker/.env")
    }

    pub fn env(&self) -> Result<String> {
        std::fs::read_to_string(self.env_path()).context("docker/.env")
    }

    /// The value of a key of `.env` as it is spelled there.
    pub fn setting(&self, key: &str) -> Result<String> {
        let text = self.env()?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.map(str::to_owned).with_context(|| format!("{key} is not in .env"))
    }

    /// VERSION as it stands in the tree.
    pub fn version_file(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.root.join("VERSION"))?.trim_end().to_owned())
    }

    /// A folder of the test's own beside the clone.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// What xr and git find around them: nobody's settings, the lab's engine, no terminal.
    pub fn with_environment(&self, command: Expression) -> Expression {
        let home = self.dir.path().join("home");
        let _ = std::fs::create_dir_all(&home);
        with_environment(command, &self.root, &home, &self.lab.engine().docker_host(), None)
    }

    /// Runs `xr` to its end in the stack's folder, as cron would.
    pub fn xr(&self, argv: &[&str]) -> Result<Done> {
        Done::of(argv, self.with_environment(cmd(env!("CARGO_BIN_EXE_xr"), argv)))
    }

    /// Starts `xr` and leaves it running.
    pub fn start_xr(&self, argv: &[&str]) -> Result<Background> {
        Background::start(argv, self.with_environment(cmd(env!("CARGO_BIN_EXE_xr"), argv)))
    }

    /// Runs git in the clone; the answer is what it printed.
    pub fn git(&self, argv: &[&str]) -> Result<String> {
        let output = self.with_environment(cmd("git", argv)).stdout_capture().stderr_capture().run()?;
        ensure!(output.status.success(), "git {argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Runs `docker compose` as an admin would, in the folder of the compose file; standard output and error together.
    pub fn compose(&self, argv: &[&str]) -> Result<String> {
        let argv: Vec<&str> = ["compose", "--profile", "local-db"].into_iter().chain(argv.iter().copied()).collect();
        let command = self.with_environment(cmd("docker", &argv).dir(self.root.join("docker")));
        let output = command.stderr_to_stdout().stdout_capture().run()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "docker {argv:?}: {text}");
        Ok(text)
    }

    /// `docker …` on the lab's engine.
    pub fn docker(&self, argv: &[&str]) -> Result<String> {
        self.lab.engine().docker(argv)
    }

    /// A request on the published port, as a user's browser makes it.
    pub fn http(&self, method: &str, path: &str) -> Result<Answer> {
        request("127.0.0.1", self.port, method, path)
    }

    /// The version that answers on the published port.
    pub fn version(&self) -> Result<String> {
        self.http("GET", "/api/")?.text("version")
    }

    /// How many rows the product's table has.
    pub fn visits(&self) -> Result<u64> {
        self.http("GET", "/api/")?.json()?["visits"].as_u64().context("no number of visits")
    }

    /// Adds a row.
    pub fn visit(&self) -> Result<()> {
        ensure!(self.http("POST", "/api/visits")?.status == 201, "no visit was taken");
        Ok(())
    }

    /// All containers of the project, running or not, by name.
    pub fn containers(&self) -> Result<Vec<Container>> {
        snapshot::containers(self.lab.engine(), &self.project)
    }

    /// The one container of a service.
    pub fn container(&self, service: &str) -> Result<Container> {
        let mut all = self.containers()?;
        all.retain(|container| container.service == service);
        ensure!(all.len() == 1, "{} containers of {service}: {all:#?}", all.len());
        Ok(all.remove(0))
    }

    /// Everything that a refused or undone run must leave as it was.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::of(self)
    }

    /// The digests of what a container was made from.
    pub fn digests(&self, container: &Container) -> Result<String> {
        self.docker(&["image", "inspect", "--format={{json .RepoDigests}}", &container.image_id])
    }

    /// Whether the engine has this image.
    pub fn has_image(&self, reference: &str) -> bool {
        self.docker(&["image", "inspect", "--format={{.Id}}", reference]).is_ok()
    }

    /// `xr history --json`
    pub fn history(&self) -> Result<Value> {
        let done = self.xr(&["history", "--json"])?.exits(0);
        serde_json::from_str(&done.stdout).with_context(|| done.to_string())
    }

    /// The generation that serves.
    pub fn generation(&self) -> Result<u32> {
        let text = std::fs::read_to_string(self.root.join(".xr/current")).context(".xr/current")?;
        text.trim().parse().context(".xr/current")
    }

    /// The stack is whole and of one version: HTTP, containers, VERSION, `.env` and the tree all say `version`.
    pub fn assert_all_of_it_is(&self, version: &str) -> Result<()> {
        assert_eq!(self.version()?, version, "HTTP");
        assert_eq!(self.version_file()?, version, "VERSION");
        assert_eq!(self.setting("IMAGE_TAG")?, version, "IMAGE_TAG");
        let containers = self.containers()?;
        assert_eq!(containers.len(), 6, "{containers:#?}");
        for container in &containers {
            assert_eq!(container.state, "running", "{containers:#?}");
            assert!(!container.image.contains("/orbit-") || container.image.ends_with(version), "{containers:#?}");
        }
        Ok(())
    }

    /// Compose agrees with what xr left: a plain `up` by the admin would replace nothing.
    pub fn assert_compose_agrees(&self) -> Result<()> {
        let said = self.compose(&["--dry-run", "up", "-d"])?;
        assert!(!said.contains("Recreat") && !said.contains("Creat") && !said.contains("Start"), "{said}");
        Ok(())
    }

    /// The newest run's journal has this many lines at least.
    pub fn journal_lines(&self, before: &[PathBuf]) -> usize {
        let new = self.journals().into_iter().find(|path| !before.contains(path));
        new.and_then(|path| std::fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count())
    }

    /// The journals of all runs, oldest first.
    pub fn journals(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.join(".xr/journal")).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        paths
    }

    /// Whether the newest run's journal says how it ended.
    pub fn newest_run_has_ended(&self) -> bool {
        let newest = self.journals().pop().and_then(|path| std::fs::read_to_string(path).ok());
        newest.is_some_and(|text| text.contains("\"run_ended\""))
    }

    /// Guards of this stack that are on their post.
    pub fn guards(&self) -> Vec<Pid> {
        let root = self.root.display().to_string();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let guards = pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let argv: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            argv.get(1) == Some(&b"guard".as_slice()) && argv.contains(&root.as_bytes())
        });
        guards.filter_map(Pid::from_raw).collect()
    }

    /// Waits until no xr of this stack has its lock or stands guard any more.
    pub fn wait_until_nobody_is_at_work(&self) -> Result<()> {
        let lock = self.root.join(".xr/lock");
        let free = || std::fs::File::open(&lock).is_ok_and(|file| file.try_lock().is_ok());
        wait_for("the end of the run", PATIENCE, free)?;
        self.kill_guards()
    }

    /// Kills them, and those that they post meanwhile.
    pub fn kill_guards(&self) -> Result<()> {
        wait_for("the guards' end", PATIENCE, || {
            for guard in self.guards() {
                // One that has just ended is as good as killed.
                let _ = kill_process(guard, Signal::KILL);
            }
            self.guards().is_empty()
        })
    }

    /// Waits until a run that was started has written so many lines; false when it ended before.
    pub fn wait_for_lines(&self, run: &Background, before: &[PathBuf], lines: usize) -> Result<bool> {
        wait_for(&format!("{lines} lines of journal"), PATIENCE, || {
            self.journal_lines(before) >= lines || run.ended()
        })?;
        Ok(!run.ended())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.lab.engine().remove_project(&self.project);
    }
}

/// `text` with the line of `key` replaced, or a new line.
pub fn with_key(text: &str, key: &str, value: &str) -> String {
    let begin = format!("{key}=");
    let new = format!("{key}={value}");
    let mut found = false;
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            let ours = line.starts_with(&begin);
            found |= ours;
            if ours { new.as_str() } else { line }
        })
        .collect();
    let mut text = lines.join("\n") + "\n";
    if !found {
        text += &format!("{new}\n");
    }
    text
}

/// The mode of a file, without its type.
pub fn mode(path: &Path) -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.mode() & 0o7777)
}
