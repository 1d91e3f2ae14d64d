//! Which volumes a project's containers mount, and where.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptionsBuilder;
use xr_model::{Fault, Result};

use crate::engine::{Engine, is_status};

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountedVolume {
    /// The compose service.
    pub service: String,
    /// Where it is in the container.
    pub target: String,
    /// The volume's name on the engine.
    pub volume: String,
}

impl Engine {
    /// The volumes that a compose project's containers mount, running or not; one-off ones left out.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn mounted_volumes(&self, project: &str) -> Result<Vec<MountedVolume>> {
        let filters = HashMap::from([("label", vec![format!("com.docker.compose.project={project}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(Fault::at("cannot list containers"))?;
        let mut mounted = Vec::new();
        for container in listed {
            let labels = container.labels.unwrap_or_default();
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            if label("com.docker.compose.oneoff").eq_ignore_ascii_case("true") {
                continue;
            }
            let service = label("com.docker.compose.service");
            for mount in container.mounts.unwrap_or_default() {
                // A folder of the host has no name.
                let volume = mount.name.filter(|name| !name.is_empty());
                if let (Some(volume), Some(target)) = (volume, mount.destination) {
                    mounted.push(MountedVolume { service: service.clone(), target, volume });
                }
            }
        }
        mounted.sort();
        mounted.dedup();
        Ok(mounted)
    }

    /// Whether there is a volume of this name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn has_volume(&self, name: &str) -> Result<bool> {
        match self.docker.inspect_volume(name).await {
            Ok(_) => Ok(true),
            Err(error) if is_status(&error, 404) => Ok(false),
            Err(error) => Err(Fault::new(format!("cannot inspect volume {name}")).because(error)),
        }
    }
}
