//! Who uses what on this engine, beyond one project: asked before anything is removed.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptionsBuilder;
use xr_model::{Fault, Result};

use crate::engine::Engine;

/// A container, as far as somebody who removes things must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineContainer {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The compose project it belongs to; empty for one that compose did not make.
    pub project: String,
    /// The folder that compose ran in when it made it; empty when compose did not say.
    pub folder: String,
    /// Whether `docker compose run` made it.
    pub one_off: bool,
    /// The image reference it was created from.
    pub image: String,
    /// The engine's id of that image.
    pub image_id: String,
    /// The names of the volumes that it mounts.
    pub volumes: Vec<String>,
}

impl Engine {
    /// Every container on the engine, running or not, whoever made it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn all_containers(&self) -> Result<Vec<EngineContainer>> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        let engine_container = |container: bollard::models::ContainerSummary| {
            let labels: HashMap<String, String> = container.labels.unwrap_or_default();
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            let name = container.names.unwrap_or_default().into_iter().next().unwrap_or_default();
            let mounts = container.mounts.unwrap_or_default().into_iter();
            EngineContainer {
                volumes: mounts.filter_map(|mount| mount.name).filter(|name| !name.is_empty()).collect(),
                id: container.id.unwrap_or_default(),
                name: name.trim_start_matches('/').to_owned(),
                project: label("com.docker.compose.project"),
                folder: label("com.docker.compose.project.working_dir"),
                one_off: label("com.docker.compose.oneoff").eq_ignore_ascii_case("true"),
                image: container.image.unwrap_or_default(),
                image_id: container.image_id.unwrap_or_default(),
            }
        };
        Ok(listed.into_iter().map(engine_container).collect())
    }
}
