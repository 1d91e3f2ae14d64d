//! One of the two ways a case is taken: the folder, the project and the commands.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use duct::{Expression, cmd};
use tempfile::TempDir;
use xr_lab::{Lab, with_environment};

use super::{
    Case, Start,
    snapshot::{self, Snapshot},
};

/// Nothing is watched: what is compared is looked at afterwards.
const MANIFEST: &str = "[health]\nsettle = \"0s\"\n";
/// How long a stack may take until nothing changes any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing must have changed.
const STILL: Duration = Duration::from_millis(1500);

/// Who brings the stack up.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Compose,
    /// This binary.
    Xr(PathBuf),
}

/// What stands where after each part of the way; why not, where it was refused.
pub(crate) struct ByCompose {
    pub first: Result<Snapshot, String>,
    pub second: Result<Snapshot, String>,
}

pub(crate) struct ByXr {
    pub first: Result<Snapshot, String>,
    /// The first version with its marks.
    pub marked: Option<Snapshot>,
    pub second: Result<Snapshot, String>,
    /// After the rollback, or after an update that was refused.
    pub back: Option<Snapshot>,
    /// What `xr doctor` finds wrong after the update.
    pub found: Option<String>,
    /// Containers that compose makes anew after all.
    pub recreated: Vec<String>,
    pub nothing_runs: bool,
}

/// A stack of its own, gone when dropped.
pub(crate) struct Side<'a> {
    lab: &'a Lab,
    way: Way,
    case: &'a Case,
    pub project: String,
    pub port: u16,
    pub net: String,
    dir: TempDir,
}

impl<'a> Side<'a> {
    pub fn new(lab: &'a Lab, case: &'a Case, way: Way) -> Result<Self> {
        let port = lab.ports(4)?;
        let project = format!("cf{port}");
        // A network of its own, by its port: there is one for each four of them.
        let net = format!("10.{}.{}", 100 + port / 4 / 200 % 50, port / 4 % 200);
        let dir = tempfile::Builder::new().prefix("xr-conform-").tempdir()?;
        let side = Self { lab, way, case, project, port, net, dir };
        std::fs::create_dir(side.publisher())?;
        std::fs::create_dir(side.home())?;
        side.git(&["init", "-q", "-b", "main"])?;
        side.publish(0)?;
        cmd!("git", "clone", "-q", side.publisher(), side.root()).run()?;
        std::fs::write(side.root().join(".env"), side.env())?;
        Ok(side)
    }

    fn env(&self) -> String {
        let ports: String = (0..4).map(|n| format!("PORT{n}={}\n", self.port + n)).collect();
        format!("COMPOSE_PROJECT_NAME={}\nNET={}\n{ports}{}", self.project, self.net, self.case.env)
    }

    /// The stack's folder.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("stack")
    }

    fn publisher(&self) -> PathBuf {
        self.dir.path().join("publisher")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn git(&self, argv: &[&str]) -> Result<()> {
        let me = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        cmd("git", me.iter().chain(argv)).dir(self.publisher()).stdout_null().run()?;
        Ok(())
    }

    fn publish(&self, version: usize) -> Result<()> {
        let own = [("xr.toml", MANIFEST), (".gitignore", ".env\n*.own\ndata/\n")];
        let own = own.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let released = self.case.versions[version].iter().filter(|(name, _)| !name.ends_with(".own"));
        released.chain(&own).try_for_each(|(name, text)| write(&self.publisher().join(name), text))?;
        self.git(&["add", "-A"])?;
        let tag = format!("v1.{version}.0");
        self.git(&["commit", "-q", "--allow-empty", "-m", &tag])?;
        self.git(&["tag", "-m", &tag, &tag])
    }

    fn write_own_files(&self, version: usize) -> Result<()> {
        // One that the versions have in common is written once: what a container writes to it stays.
        let is_new = |file: &&(String, String)| version == 0 || !self.case.versions[0].contains(file);
        let own = self.case.versions[version].iter().filter(|(name, _)| name.ends_with(".own")).filter(is_new);
        own.into_iter().try_for_each(|(name, text)| write(&self.root().join(name), text))
    }

    fn run(&self, command: Expression) -> Result<Result<(), String>> {
        let command = with_environment(command, &self.root(), &self.home(), &self.lab.engine().docker_host(), None);
        let output = command.stderr_to_stdout().stdout_capture().run()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(if output.status.success() { Ok(()) } else { Err(said) })
    }

    /// Brings this version up.
    fn bring(&self, version: usize) -> Result<Result<(), String>> {
        if version > 0 {
            self.publish(version)?;
        }
        self.write_own_files(version)?;
        let tag = format!("v1.{version}.0");
        match (&self.way, self.case.start, version) {
            (Way::Compose, ..) | (_, Start::Late, 0) => self.up(&tag),
            (Way::Xr(xr), Start::Installed, 0) => self.run(cmd!(xr, "install", "--yes")),
            (Way::Xr(xr), Start::TakenOver, 0) => {
                if let Err(why) = self.up(&tag)? {
                    return Ok(Err(why));
                }
                let before = self.containers()?;
                let taken = self.run(cmd!(xr, "install", "--yes"))?;
                let made = self.containers()?.iter().any(|id| !before.contains(id));
                Ok(if made { Err("xr install makes containers anew".to_owned()) } else { taken })
            }
            (Way::Xr(xr), Start::Late, _) => self.run(cmd!(xr, "install", "--yes", "--version", tag)),
            (Way::Xr(xr), ..) => self.run(cmd!(xr, "update", "--yes", "--to", tag)),
        }
    }

    fn up(&self, tag: &str) -> Result<Result<(), String>> {
        cmd!("git", "fetch", "-q", "--tags").dir(self.root()).run()?;
        cmd!("git", "checkout", "-q", tag).dir(self.root()).run()?;
        // What no generation of xr's has known may be somebody else's: xr leaves it, as compose does by itself.
        let orphans: &[&str] = if self.case.start == Start::Late { &[] } else { &["--remove-orphans"] };
        self.run(cmd("docker", [&["compose", "up", "-d"], orphans].concat()))
    }

    /// Once nothing changes any more.
    fn snapshot(&self) -> Result<Snapshot> {
        let begun = Instant::now();
        let mut last = (String::new(), Instant::now());
        loop {
            let ids = self.containers()?;
            let now = if ids.is_empty() { String::new() } else { snapshot::states(self.lab.engine(), &ids)? };
            if now != last.0 {
                last = (now.clone(), Instant::now());
            }
            if (last.1.elapsed() >= STILL && !now.contains("starting")) || begun.elapsed() > PATIENCE {
                return snapshot::of(self.lab.engine(), self);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Ids of the project's containers.
    pub fn containers(&self) -> Result<Vec<String>> {
        self.lab.engine().containers_of(&self.project)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text)?;
    Ok(())
}

impl Drop for Side<'_> {
    fn drop(&mut self) {
        self.lab.engine().remove_project(&self.project);
    }
}

impl ByCompose {
    pub fn walk(side: &Side<'_>) -> Result<Self> {
        let first = match side.bring(0)? {
            Ok(()) => Ok(side.snapshot()?),
            Err(why) => return Ok(Self { first: Err(why), second: Err(String::new()) }),
        };
        snapshot::mark(side.lab.engine(), side)?;
        let second = match side.bring(1)? {
            Ok(()) => Ok(side.snapshot()?),
            Err(why) => Err(why),
        };
        Ok(Self { first, second })
    }
}

impl ByXr {
    pub fn walk(side: &Side<'_>) -> Result<Self> {
        let Way::Xr(xr) = &side.way else { bail!("xr is not the way") };
        let mut walked = Self {
            first: Err(String::new()),
            marked: None,
            second: Err(String::new()),
            back: None,
            found: None,
            recreated: Vec::new(),
            nothing_runs: false,
        };
        if let Err(why) = side.bring(0)? {
            walked.nothing_runs = side.containers()?.is_empty();
            walked.first = Err(why);
            return Ok(walked);
        }
        walked.first = Ok(side.snapshot()?);
        snapshot::mark(side.lab.engine(), side)?;
        walked.marked = Some(side.snapshot()?);
        if let Err(why) = side.bring(1)? {
            walked.second = Err(why);
            walked.back = Some(side.snapshot()?);
            return Ok(walked);
        }
        walked.second = Ok(side.snapshot()?);
        walked.found = side.run(cmd!(xr, "doctor"))?.err();
        // What was never installed by xr is nothing to go back to.
        if side.case.start != Start::Late {
            if let Err(why) = side.run(cmd!(xr, "rollback", "--yes"))? {
                bail!("xr rollback: {why}");
            }
            walked.back = Some(side.snapshot()?);
        }
        let before = side.containers()?;
        if let Err(why) = side.run(cmd!("docker", "compose", "up", "-d"))? {
            bail!("docker compose up -d by hand: {why}");
        }
        let mut after = side.containers()?;
        after.retain(|id| !before.contains(id));
        walked.recreated = after;
        Ok(walked)
    }
}
