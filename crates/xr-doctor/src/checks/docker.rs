//! Does Docker answer, and compose?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    match &facts.engine {
        Ok(info) => found.push(Finding::info("docker.engine", "docker engine", &info.version)),
        Err(trouble) => {
            let finding =
                Finding::problem("docker.engine", "docker engine", &trouble.message).command("systemctl start docker");
            found.push(finding.hint(trouble.hint.clone()));
        }
    }
    for trouble in [facts.containers.as_ref().err(), facts.images.as_ref().err()]
        .into_iter()
        .flatten()
        .filter(|_| facts.engine.is_ok())
    {
        found.push(
            Finding::problem("docker.engine", "docker engine", &trouble.message).command("systemctl restart docker"),
        );
    }
    match (&facts.services, &facts.compose_version) {
        (Err(trouble), _) => found
            .push(Finding::problem("docker.compose", "docker compose", &trouble.message).hint(trouble.hint.clone())),
        (Ok(_), Some(version)) => found.push(Finding::info("docker.compose", "docker compose", version)),
        (Ok(None), None) if facts.hashes.is_none() => {}
        (Ok(_), None) => found.push(Finding::info("docker.compose", "docker compose", "reads the compose files")),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    #[test]
    fn a_docker_that_is_down_is_said_once_with_what_starts_it() {
        let trouble =
            Trouble { message: "there is no Docker engine".into(), hint: Some("service docker start".into()) };
        let down = changed(|f| {
            f.engine = Err(trouble.clone());
            f.containers = Err(trouble.clone());
            f.images = Err(trouble.clone());
        });
        let found = check(&down);
        assert_eq!(words(&found), ["problem docker.engine", "ok docker.compose"]);
        assert_eq!(found[0].command.as_deref(), Some("service docker start"));
        let no_plugin =
            changed(|f| f.services = Err(Trouble { message: "no plugin".into(), hint: Some("xr install".into()) }));
        assert_eq!(words(&check(&no_plugin)), ["ok docker.engine", "problem docker.compose"]);
    }
}
