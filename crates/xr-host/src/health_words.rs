//! What a container's own health check printed.

use bollard::query_parameters::InspectContainerOptions;

use crate::engine::Engine;

impl Engine {
    /// The last `lines` lines that the newest failed health check of a container printed; empty when there are none.
    pub async fn health_words(&self, id: &str, lines: usize) -> Vec<String> {
        let Ok(found) = self.docker.inspect_container(id, None::<InspectContainerOptions>).await else {
            return Vec::new();
        };
        let log = found.state.and_then(|s| s.health?.log).unwrap_or_default();
        let failed = log.into_iter().rev().find(|result| result.exit_code != Some(0)).and_then(|result| result.output);
        let text = failed.unwrap_or_default();
        let mut said: Vec<String> =
            text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect();
        said.split_off(said.len().saturating_sub(lines))
    }
}
