//! Which folders a compose project's containers were made from.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListContainersOptionsBuilder;
use xr_model::{Fault, Result};

use crate::engine::Engine;

const PROJECT: &str = "com.docker.compose.project";
const FOLDER: &str = "com.docker.compose.project.working_dir";

impl Engine {
    /// Container id → the folder compose made it from. Two stacks of one project name show here.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn project_folders(&self, project: &str) -> Result<BTreeMap<String, String>> {
        let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        Ok(listed.into_iter().filter_map(|c| Some((c.id?, c.labels?.remove(FOLDER)?))).collect())
    }
}
