//! Everything a run works with: the stack, its `.xr/`, the engine, where events go.

use std::path::{Path, PathBuf};

use futures_util::future;
use xr_host::{Engine, Identity, owner_of};
use xr_image_puller::{Credentials, Sources};
use xr_journal::{Generations, Home, sync_disk};
use xr_model::{Container, Event, Invocation, Level, Observed, PinnedImage, Result};
use xr_stack::{Compose, Site, Stack};
use xr_version_resolver::Checkout;

use crate::{Cancel, written};

/// Where events go. The engine does not know who listens.
pub type Sink<'a> = &'a (dyn Fn(Event) + Sync);

/// Everything a run works with.
pub struct World<'a> {
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
    /// The wish to stop.
    pub cancel: Cancel,
}

impl<'a> World<'a> {
    /// Opens the stack at `root`.
    ///
    /// # Errors
    /// A broken manifest, no compose file, no engine.
    pub fn open(root: &Path, xr: &'static str, events: Sink<'a>, cancel: Cancel) -> Result<Self> {
        Self::around(Checkout::open(root)?, root, xr, events, cancel)
    }

    /// As [`World::open`], for an update: the git remote is asked at once and thinks while the rest is read.
    ///
    /// # Errors
    /// As [`World::open`].
    pub fn open_to_update(root: &Path, xr: &'static str, events: Sink<'a>, cancel: Cancel) -> Result<Self> {
        let checkout = Checkout::open(root)?;
        if let Some(checkout) = &checkout {
            checkout.ask_early();
        }
        Self::around(checkout, root, xr, events, cancel)
    }

    fn around(
        checkout: Option<Checkout>,
        root: &Path,
        xr: &'static str,
        events: Sink<'a>,
        cancel: Cancel,
    ) -> Result<Self> {
        let home = Home::of(root);
        let stack = xr_stack::load(root)?;
        Ok(Self {
            site: Site::read(&home.site())?,
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
        })
    }

    /// Compose on the real tree, as a generation calls it: with that generation's layout, since a release may move its files.
    ///
    /// # Errors
    /// When the generation's files cannot be read.
    pub fn compose(&self, number: u32, invocation: &Invocation) -> Result<Compose> {
        let stack = xr_stack::load(&crate::staging::root_of(self, number))?;
        Ok(Compose::of(&stack.layout.under(&self.root), invocation))
    }

    /// Where images come from.
    ///
    /// # Errors
    /// A mirror in `.xr/site.toml` that cannot be read.
    pub fn sources(&self) -> Result<Sources> {
        Sources::new(&self.site.mirrors, Credentials::load())
    }

    /// What is, now.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn observe(&self, project: &str, images: &[PinnedImage]) -> Result<Observed> {
        let containers = self.engine.containers(project).await?;
        let mut ids: Vec<String> = containers.iter().map(|c| c.image_id.clone()).collect();
        ids.sort();
        ids.dedup();
        let mut local = self.engine.images(ids.iter().map(String::as_str)).await?;
        let pinned = future::join_all(images.iter().map(|image| self.engine.find(image))).await;
        local.extend(pinned.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten());
        let images = local;
        Ok(Observed { containers, images })
    }

    /// The containers of one service that are not among `old`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn newer(&self, project: &str, service: &str, old: &[Container]) -> Result<Vec<Container>> {
        let mut all = self.engine.containers(project).await?;
        all.retain(|c| c.service == service && !old.iter().any(|o| o.id == c.id));
        Ok(all)
    }

    /// One folder for each disk that xr writes to.
    pub(crate) fn disks(&self) -> Vec<PathBuf> {
        written::disks(&self.root, Some(&self.stack.layout.env_path()), self.home.path())
    }

    /// Has the tree's files, which git wrote, on the disk.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub(crate) fn sync(&self) -> Result<()> {
        self.disks().iter().try_for_each(|folder| sync_disk(folder))
    }

    /// Tells.
    pub fn tell(&self, event: Event) {
        (self.events)(event);
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
