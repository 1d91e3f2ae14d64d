//! What each worker shall have: a generation's images, and its agent.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use xr_host::{ContainerSpec, FINGERPRINT, ROLE, STACK, VERSION};
use xr_model::{DesiredFleet, Fault, Generation, ImageRef, PinnedImage, Result, Worker, exit};
use xr_session::Session;
use xr_stack::{AgentSpec, Compose, Place, Resolved, WorkerRule};

/// How long a new agent may take to be up, unless the manifest says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// What each worker shall have.
pub struct Target {
    /// The compose project, by which a stack's containers are known on every host.
    pub stack: String,
    /// The version.
    pub version: String,
    /// The images that each worker needs.
    pub images: Vec<PinnedImage>,
    /// The image that tasks run in.
    pub task: Option<PinnedImage>,
    /// What the publisher says.
    pub rule: WorkerRule,
    /// Under which address workers reach the server that say nothing else.
    server: String,
    pub(super) resolved: Resolved,
    settings: HashMap<String, String>,
}

impl Target {
    /// What the workers shall have under a generation, recorded or staged.
    ///
    /// # Errors
    /// When its files cannot be read, or compose refuses them.
    pub async fn of(session: &Session<'_>, generation: &Generation) -> Result<Self> {
        let stack = xr_stack::load(&xr_session::root_of(session, generation.number))?;
        let env = xr_session::parse_env(&stack.layout.env_path())?.unwrap_or_default();
        let compose = Compose::of(&stack.layout, &generation.invocation);
        let (root, manifest) = (session.root.clone(), stack.manifest.clone());
        let resolving = tokio::task::spawn_blocking(move || compose.resolve(&root, &manifest));
        let resolved = resolving.await.map_err(Fault::at("a thread died"))??;
        let rule = stack.manifest.worker;
        let task = task(generation, &rule);
        let needed = |image: &&PinnedImage| {
            let agents = rule.agent.as_ref().is_some_and(|agent| image.services.contains(agent));
            agents || task.as_ref().is_some_and(|task| task.reference == image.reference)
        };
        Ok(Self {
            stack: generation.invocation.project.clone(),
            version: generation.version.as_str().to_owned(),
            images: generation.images.iter().filter(needed).cloned().collect(),
            task,
            rule,
            server: session.site.fleet.server.clone(),
            resolved,
            settings: env.keys().into_iter().filter_map(|key| Some((key.to_owned(), env.get(key)?.text))).collect(),
        })
    }

    /// What the workers shall have under the generation that serves.
    ///
    /// # Errors
    /// When nothing is installed; as [`Target::of`].
    pub async fn present(session: &Session<'_>) -> Result<Self> {
        let current = session.generations.current()?;
        let current = current.ok_or_else(|| Fault::new("nothing is installed here").hint("xr install"))?;
        Self::of(session, &current).await
    }

    /// Refuses a stack that has nothing for workers.
    ///
    /// # Errors
    /// When it has none.
    pub fn refuse_none(&self) -> Result<()> {
        if self.rule.agent.is_some() || !self.images.is_empty() {
            return Ok(());
        }
        Err(Fault::new("this stack has nothing that runs on workers: no agent, and no image beside its services")
            .hint("xr.toml: [worker] agent = \"SERVICE\"   (docs/workers.md)")
            .code(exit::USAGE))
    }

    /// The name of a worker's agent.
    pub fn agent_name(&self, worker: &str) -> String {
        agent_name(&self.stack, worker)
    }

    /// A worker's agent with its fingerprint; none when the stack has no agent.
    ///
    /// # Errors
    /// When the manifest names what is not there.
    pub fn agent(&self, worker: &Worker) -> Result<Option<(AgentSpec, String)>> {
        let place = self.place(worker);
        let lookup = |key: &str| self.settings.get(key).cloned();
        let Some(spec) = xr_stack::agent(&self.resolved, &self.rule, &lookup, place)? else { return Ok(None) };
        let content = self.image(&spec.image).map(content).unwrap_or_default();
        let fingerprint = spec.fingerprint(&content);
        Ok(Some((spec, fingerprint)))
    }

    /// An image that workers need, as it is pinned.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn image(&self, reference: &ImageRef) -> Result<&PinnedImage> {
        let image = self.images.iter().find(|image| image.reference == *reference);
        image.ok_or_else(|| Fault::new(format!("{reference} is no image of this release")))
    }

    fn place<'a>(&'a self, worker: &'a Worker) -> Place<'a> {
        let server = if worker.server.is_empty() { &self.server } else { &worker.server };
        Place { worker: &worker.name, server, version: &self.version }
    }

    /// Its container, to be made.
    pub(crate) fn spec(&self, worker: &Worker, spec: AgentSpec, fingerprint: &str, image_id: &str) -> ContainerSpec {
        let labels = [
            (STACK, self.stack.as_str()),
            (ROLE, "agent"),
            (VERSION, self.version.as_str()),
            (FINGERPRINT, fingerprint),
            ("xr.worker", worker.name.as_str()),
        ];
        ContainerSpec {
            name: format!("{}-next", self.agent_name(&worker.name)),
            image: image_id.to_owned(),
            env: spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            run_options: spec.run_options,
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            health: spec.health.as_ref().and_then(health),
            remove_at_end: false,
        }
    }

    /// What a task on a worker finds in its environment beside the image's own: what the publisher sets there.
    pub(super) fn task_env(&self, worker: &Worker) -> Vec<String> {
        let place = self.place(worker);
        let lookup = |key: &str| self.settings.get(key).cloned();
        self.rule.env_at(&lookup, place).map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// How long a new agent may take to be up.
    pub fn patience(&self) -> Duration {
        self.rule.patience.unwrap_or(PATIENCE)
    }

    /// A setting of `.env`, under this generation.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// The first port that the stack publishes, and the one behind it.
    pub(super) fn published(&self) -> Option<(u16, u16)> {
        let ports = self.resolved.services.iter().flat_map(|service| &service.ports);
        let mut open = ports.filter(|port| port.protocol == "tcp" && !port.host_ip.starts_with("127."));
        open.next().map(|port| (port.published, port.target))
    }

    /// Its part in what a run shall bring about.
    pub fn desired(&self, session: &Session<'_>) -> DesiredFleet {
        DesiredFleet {
            images: self.images.clone(),
            agent: self.rule.agent.is_some(),
            quorum: session.site.fleet.quorum,
            all: session.site.workers.iter().filter(|worker| !worker.drained).count(),
        }
    }
}

/// The name of a worker's agent.
pub(crate) fn agent_name(stack: &str, worker: &str) -> String {
    format!("{stack}-agent-{worker}")
}

/// What tells an image's content on every host: the registry's digest, else the engine's id.
fn content(image: &PinnedImage) -> String {
    image.digest.as_ref().map_or_else(|| image.image_id.clone(), |digest| digest.0.clone())
}

/// The image that tasks run in: the one named, else the first that belongs to no service.
fn task(generation: &Generation, rule: &WorkerRule) -> Option<PinnedImage> {
    let last = |image: &PinnedImage| image.reference.name().rsplit('/').next().unwrap_or_default().to_owned();
    let mut images = generation.images.iter();
    match &rule.task {
        Some(name) => images.find(|image| image.services.contains(name) || last(image) == *name),
        None => images.find(|image| image.services.is_empty()),
    }
    .cloned()
}

/// Compose's `healthcheck` as the engine takes it.
fn health(check: &Value) -> Option<(Vec<String>, [Duration; 3], u32)> {
    let test: Vec<String> = match &check["test"] {
        // Also where the image has one.
        _ if check["disable"] == true => vec!["NONE".to_owned()],
        Value::String(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Value::Array(parts) => parts.iter().filter_map(|part| part.as_str().map(str::to_owned)).collect(),
        _ => return None,
    };
    let time = |key: &str, default: u64| {
        let read = check[key].as_str().and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        read.and_then(|time| Duration::try_from(time).ok()).unwrap_or(Duration::from_secs(default))
    };
    let retries = check["retries"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(3);
    Some((test, [time("interval", 30), time("timeout", 30), time("start_period", 0)], retries))
}
