//! What a stack looks like from outside, to be compared with what it looked like before.

use anyhow::{Context, Result};
use serde_json::Value;
use xr_lab::Engine;

use super::Stack;

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub service: String,
    pub name: String,
    pub id: String,
    pub image: String,
    pub image_id: String,
    pub state: String,
    pub started_at: String,
}

/// Everything that a run which changes nothing must leave as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub containers: Vec<Container>,
    pub env: String,
    pub version: String,
    pub head: String,
    pub status: String,
    pub generation: u32,
    pub generations: Vec<String>,
}

impl Snapshot {
    pub fn of(stack: &Stack) -> Result<Self> {
        let recorded = std::fs::read_dir(stack.root.join(".xr/generations"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.join("generation.json").exists());
        let mut generations: Vec<String> = recorded.map(|path| path.display().to_string()).collect();
        generations.sort();
        Ok(Self {
            containers: stack.containers()?,
            env: stack.env()?,
            version: stack.version_file()?,
            head: stack.git(&["rev-parse", "HEAD"])?,
            status: stack.git(&["status", "--porcelain"])?,
            generation: stack.generation()?,
            generations,
        })
    }

    /// The same containers, whether or not they were stopped and started in between.
    pub fn ids(&self) -> Vec<(&str, &str, &str)> {
        let ids = self.containers.iter().map(|c| (c.name.as_str(), c.id.as_str(), c.state.as_str()));
        ids.collect()
    }
}

/// All containers of a compose project, by name.
pub fn containers(engine: &Engine, project: &str) -> Result<Vec<Container>> {
    let told = engine.containers_of(project)?.into_iter().map(|id| engine.ask(&format!("/containers/{id}/json")));
    // One that went away in between is none.
    let all: Vec<Value> = told.filter_map(Result::transpose).collect::<Result<_>>()?;
    let mut containers = all.iter().map(container).collect::<Result<Vec<_>>>()?;
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(containers)
}

fn container(value: &Value) -> Result<Container> {
    let text = |pointer: &str| -> Result<String> {
        Ok(value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}"))?.to_owned())
    };
    Ok(Container {
        service: text("/Config/Labels/com.docker.compose.service")?,
        name: text("/Name")?.trim_start_matches('/').to_owned(),
        id: text("/Id")?,
        image: text("/Config/Image")?,
        image_id: text("/Image")?,
        state: text("/State/Status")?,
        started_at: text("/State/StartedAt")?,
    })
}
