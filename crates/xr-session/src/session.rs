//! Everything a run works with: the stack, its `.xr/`, the engine, where events go.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use futures_util::future;
use tokio::sync::{Semaphore, SemaphorePermit};
use xr_env_writer::{EnvFile, secret_values};
use xr_host::{Engine, Identity, Ssh, owner_of};
use xr_image_puller::{Credentials, Retry, Sender, Sources};
use xr_journal::{Generations, Home, sync_disk, unfinished};
use xr_model::{
    Container, Event, Fault, Generation, Invocation, Level, Observed, PinnedImage, Redactor, Result, Worker,
};
use xr_stack::{Compose, Layout, Manifest, Resolved, Site, Stack};
use xr_version_resolver::Checkout;

use crate::{Cancel, Failure, filesystems, ownership, parse_env, root_in, root_of};

/// Where events go. What works does not know who listens.
pub type Sink<'a> = &'a (dyn Fn(Event) + Sync);

/// Everything a run works with.
pub struct Session<'a> {
    /// The stack's root.
    pub root: PathBuf,
    /// What its publisher says.
    pub stack: Stack,
    /// What its admin says.
    pub site: Site,
    /// Its `.xr/`.
    pub home: Home,
    /// Its generations.
    pub generations: Generations,
    /// Its git checkout, when it is one.
    pub checkout: Option<Checkout>,
    /// The user the tree belongs to, when xr runs as root and that is somebody else.
    pub owner: Option<Identity>,
    /// The engine.
    pub engine: Engine,
    /// xr's version, for records.
    pub xr: &'static str,
    /// Where events go.
    pub events: Sink<'a>,
    /// Cancellation: raised by a signal.
    pub cancel: Cancel,
    /// Where images come from, once that was asked.
    sources: OnceLock<Sources>,
    /// How images get to workers without a registry, once that was asked.
    sender: OnceLock<Sender>,
    /// How workers are reached, once that was asked.
    ssh: OnceLock<Ssh>,
    /// Where in the list each worker was when one was first asked for.
    places: OnceLock<HashMap<String, usize>>,
    /// How many workers are worked on at once.
    turns: Semaphore,
    /// The secrets that nothing told may hold.
    secrets: Mutex<Redactor>,
}

impl<'a> Session<'a> {
    /// Opens the stack at `root`.
    ///
    /// # Errors
    /// A broken manifest, no compose file, no engine.
    pub fn open(root: &Path, xr: &'static str, events: Sink<'a>, cancel: Cancel) -> Result<Self> {
        Self::around(Place::at(root)?, root, xr, events, cancel)
    }

    /// As [`Session::open`], for an update: the git remote is asked at once and thinks while the rest is read.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_to_update(root: &Path, xr: &'static str, events: Sink<'a>, cancel: Cancel) -> Result<Self> {
        let place = Place::at(root)?;
        if let Some(checkout) = &place.checkout {
            checkout.ask_early();
        }
        Self::around(place, root, xr, events, cancel)
    }

    fn around(place: Place, root: &Path, xr: &'static str, events: Sink<'a>, cancel: Cancel) -> Result<Self> {
        let Place { home, site, checkout } = place;
        let stack = match xr_stack::load(root) {
            Ok(stack) if is_cut(&stack, root) => staged_stack(&home, root).unwrap_or(stack),
            loaded => loaded.or_else(|fault| staged_stack(&home, root).ok_or(fault))?,
        };
        let turns = Semaphore::new(site.fleet.at_once.clamp(1, 256));
        Ok(Self {
            site,
            secrets: Mutex::new(secrets(&home, &stack.layout, &stack.manifest)),
            generations: Generations::of(&home),
            checkout,
            owner: owner_of(root)?,
            engine: Engine::connect()?,
            root: root.to_owned(),
            home,
            stack,
            xr,
            events,
            cancel,
            sources: OnceLock::new(),
            sender: OnceLock::new(),
            ssh: OnceLock::new(),
            places: OnceLock::new(),
            turns,
        })
    }

    /// Compose on the real tree, as a generation calls it: with that generation's layout, since a release may move its files.
    ///
    /// # Errors
    /// When the generation's files cannot be read.
    pub fn compose(&self, number: u32, invocation: &Invocation) -> Result<Compose> {
        let stack = xr_stack::load(&root_of(self, number))?;
        Ok(Compose::of(&stack.layout.under(&self.root), invocation))
    }

    /// The configuration that a generation was recorded or staged with, whatever stands in the tree by now.
    ///
    /// # Errors
    /// When its files cannot be read, or compose refuses them.
    pub async fn resolved(&self, generation: &Generation) -> Result<Resolved> {
        let stack = xr_stack::load(&root_of(self, generation.number))?;
        let (compose, root) = (Compose::of(&stack.layout, &generation.invocation), self.root.clone());
        let resolved = tokio::task::spawn_blocking(move || compose.resolve(&root, &stack.manifest)).await;
        resolved.map_err(Fault::at("a command's thread died"))?
    }

    /// Where images come from.
    ///
    /// # Errors
    /// A mirror in `.xr/site.toml` that cannot be read.
    pub fn sources(&self) -> Result<&Sources> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources);
        }
        let sources = Sources::new(&self.site.mirrors, Credentials::load())?;
        Ok(self.sources.get_or_init(|| sources))
    }

    /// How workers are reached.
    ///
    /// # Errors
    /// When the folders for it cannot be made.
    pub fn ssh(&self) -> Result<&Ssh> {
        if let Some(ssh) = self.ssh.get() {
            return Ok(ssh);
        }
        let ssh = Ssh::new(&self.home.path().join("ssh"), self.site.fleet.patience)?;
        Ok(self.ssh.get_or_init(|| ssh))
    }

    /// The worker of this name, when there is one. Each step of a run asks for its own.
    pub fn find_worker(&self, name: &str) -> Option<&Worker> {
        let all = &self.site.workers;
        let places = self.places.get_or_init(|| (0..).zip(all).map(|(at, worker)| (worker.name.clone(), at)).collect());
        let listed = places.get(name).and_then(|at| all.get(*at)).filter(|worker| worker.name == name);
        // Somebody may have been added since.
        listed.or_else(|| all.iter().find(|worker| worker.name == name))
    }

    /// The worker of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn worker(&self, name: &str) -> Result<&Worker> {
        self.find_worker(name).ok_or_else(|| {
            let known: Vec<&str> = self.site.workers.iter().map(|worker| worker.name.as_str()).collect();
            let hint = match known.len() {
                0 => "xr worker add user@host".to_owned(),
                1..=12 => format!("workers: {}", known.join(", ")),
                _ => "xr worker list".to_owned(),
            };
            Fault::new(format!("there is no worker `{name}`")).hint(hint).code(xr_model::exit::USAGE)
        })
    }

    /// How images get to workers without a registry.
    ///
    /// # Errors
    /// When the folder for it cannot be made.
    pub fn sender(&self) -> Result<&Sender> {
        if let Some(sender) = self.sender.get() {
            return Ok(sender);
        }
        let folder = self.home.path().join("parcels");
        let sender = Sender::new(self.engine.clone(), folder, self.site.network.patience)?;
        Ok(self.sender.get_or_init(|| sender))
    }

    /// Waits until one more worker may be worked on.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// How often and how long registries are tried.
    pub fn retry(&self) -> Retry {
        retry(&self.site)
    }

    /// The stack's containers. Those of another folder whose project has the same name are none of it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>> {
        let all = self.engine.containers(project).await?;
        Ok(ownership::without_foreign(all, &self.root, &self.stack.layout.directory_path()))
    }

    /// What is, now.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn observe(&self, project: &str, images: &[PinnedImage]) -> Result<Observed> {
        let containers = self.containers(project).await?;
        let mut ids: Vec<String> = containers.iter().map(|c| c.image_id.clone()).collect();
        ids.sort();
        ids.dedup();
        let mut local = self.engine.images(ids.iter().map(String::as_str)).await?;
        let pinned = future::join_all(images.iter().map(|image| self.engine.find(image))).await;
        local.extend(pinned.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten());
        let images = local;
        Ok(Observed { containers, images, fleet: Vec::new() })
    }

    /// The containers of one service that are not among `old`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn newer(&self, project: &str, service: &str, old: &[Container]) -> Result<Vec<Container>> {
        let mut all = self.containers(project).await?;
        all.retain(|c| c.service == service && !old.iter().any(|o| o.id == c.id));
        Ok(all)
    }

    /// One folder for each disk that xr writes to.
    pub fn disks(&self) -> Vec<PathBuf> {
        filesystems::disks(&self.root, Some(&self.stack.layout.env_path()), self.home.path())
    }

    /// Has the tree's files, which git wrote, on the disk.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn sync(&self) -> Result<()> {
        self.disks().iter().try_for_each(|folder| sync_disk(folder))
    }

    /// Learns the secrets of a file of settings that is about to count.
    pub fn learn_secrets(&self, env: &EnvFile, manifest: &Manifest) {
        let names = names(&self.stack.layout);
        let values = secret_values(env, &manifest.secret_keys()).into_iter();
        self.redactor().learn(values.filter(|value| !names.contains(value.as_str())));
    }

    fn redactor(&self) -> MutexGuard<'_, Redactor> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault without a secret in it: what a program said may have held one.
    pub fn without_secrets(&self, fault: Fault) -> Fault {
        self.redactor().fault(fault)
    }

    /// The same for a text that is kept.
    pub fn without_secrets_text(&self, text: &str) -> String {
        self.redactor().text(text)
    }

    /// The same for a step's failure with its log.
    pub fn failure_without_secrets(&self, failure: Failure) -> Failure {
        let redactor = self.redactor();
        let log = failure.log.iter().map(|line| redactor.text(line)).collect();
        Failure { fault: redactor.fault(failure.fault), log, service: failure.service }
    }

    /// Tells, no secret among it.
    pub fn tell(&self, event: Event) {
        (self.events)(match event {
            Event::Message { level, text } => Event::Message { level, text: self.redactor().text(&text) },
            Event::StepFailed { step, title, error } => {
                Event::StepFailed { step, title, error: self.redactor().text(&error) }
            }
            event => event,
        });
    }

    /// Tells in words.
    pub fn say(&self, level: Level, text: impl Into<String>) {
        self.tell(Event::Message { level, text: text.into() });
    }

    /// Tells of a phase before the plan.
    pub fn phase(&self, name: &str) {
        self.tell(Event::Phase { name: name.to_owned() });
    }
}

/// How often and how long registries are tried, as the admin says.
pub fn retry(site: &Site) -> Retry {
    Retry { attempts: site.network.tries, patience: site.network.patience, ..Retry::default() }
}

/// What is known of a stack before its files are read.
struct Place {
    home: Home,
    site: Site,
    checkout: Option<Checkout>,
}

impl Place {
    fn at(root: &Path) -> Result<Self> {
        let home = Home::of(root);
        let site = Site::read(&home.site())?;
        let checkout = Checkout::open(root)?.map(|checkout| checkout.patience(site.network.patience));
        Ok(Self { home, site, checkout })
    }
}

/// Whether a file that describes the stack is empty, as a power cut leaves one that was just being written.
fn is_cut(stack: &Stack, root: &Path) -> bool {
    let mut files = stack.layout.files.iter().map(String::as_str).chain(["xr.toml"]);
    files.any(|file| std::fs::metadata(root.join(file)).is_ok_and(|meta| meta.len() == 0))
}

/// The stack as the generation that serves has it, while a run is open that may have been killed in the middle of its switch of
/// the tree: that can be ended then all the same.
fn staged_stack(home: &Home, root: &Path) -> Option<Stack> {
    unfinished(home).ok()??;
    let generations = Generations::of(home);
    let current = generations.current().ok()??;
    let stack = xr_stack::load(&root_in(&generations, root, current.number)).ok()?;
    Some(Stack { layout: stack.layout.under(root), ..stack })
}

/// The secrets of the settings as they are and as each kept generation has them: an old container knows old ones. What
/// cannot be read holds none that could be told; where that matters, it is a fault of its own.
pub fn secrets(home: &Home, layout: &Layout, manifest: &Manifest) -> Redactor {
    let name = layout.root.file_name().unwrap_or_default();
    let kept = std::fs::read_dir(home.generations()).into_iter().flatten().flatten();
    let kept = kept.map(|generation| generation.path().join("files").join(name));
    let names = names(layout);
    let mut redactor = Redactor::default();
    // One of them may have had its compose files, and with them its settings, in another folder.
    let settings = |root: PathBuf| {
        let usual = layout.env_in(&root);
        let elsewhere = || xr_stack::load(&root).ok().map(|stack| stack.layout.env_path());
        if usual.exists() { usual } else { elsewhere().unwrap_or(usual) }
    };
    for path in kept.map(settings).chain([layout.env_path()]) {
        if let Ok(Some(file)) = parse_env(&path) {
            let values = secret_values(&file, &manifest.secret_keys()).into_iter();
            redactor.learn(values.filter(|value| !names.contains(value.as_str())));
        }
    }
    redactor
}

/// What services, volumes and images are called. Where a password is one of these words, as `postgres` is, everybody has it,
/// and without it no message could say which container it speaks of.
fn names(layout: &Layout) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in layout.files.iter().chain(&layout.dev_files).map(|file| layout.root.join(file)) {
        for line in std::fs::read_to_string(path).unwrap_or_default().lines().map(str::trim) {
            if let Some(key) = line.strip_suffix(':') {
                names.insert(key.to_owned());
            }
            let image = line.strip_prefix("image:").unwrap_or_default();
            names.extend(image.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests set up stacks")]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_a_services_name_is_not_struck_out_and_another_is() {
        let dir = tempfile::tempdir().unwrap();
        let compose = "services:\n  postgres:\n    image: acme/hub:1\n    command: run hunter22\n";
        std::fs::write(dir.path().join("compose.yaml"), compose).unwrap();
        std::fs::write(dir.path().join(".env"), "A_PASSWORD=postgres\nB_PASSWORD=hunter22\n").unwrap();
        let stack = xr_stack::load(dir.path()).unwrap();
        let redactor = secrets(&Home::of(dir.path()), &stack.layout, &stack.manifest);
        assert_eq!(redactor.text("docker logs x-postgres-1: hunter22"), "docker logs x-postgres-1: ********");
    }
}
