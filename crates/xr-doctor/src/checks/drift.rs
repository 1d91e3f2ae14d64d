//! Were containers made from the compose files and `.env` as they are now?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(current) = facts.current() else { return Vec::new() };
    if let Some(hashes) = &facts.hashes {
        let mut found = Vec::new();
        // Compose hashes the id of the container whose network is borrowed, which `config --hash` cannot know.
        for service in current.services.iter().filter(|service| service.tied_to.is_empty()) {
            let Some(hash) = hashes.get(&service.name) else {
                found.push(gone(&service.name));
                continue;
            };
            let drifted = facts.of(&service.name).filter(|c| !c.config_hash.is_empty() && c.config_hash != *hash);
            found.extend(drifted.map(|c| drift(&c.name)));
        }
        return or_fine(found, "made from the compose files and .env as they are now");
    }
    let Ok(Some(now)) = &facts.services else { return Vec::new() };
    let mut found = Vec::new();
    for service in &current.services {
        match now.iter().find(|other| other.name == service.name) {
            None => found.push(gone(&service.name)),
            Some(other) if other.spec != service.spec => found.push(drift(&service.name)),
            Some(_) => {}
        }
    }
    let left_out = &current.invocation.left_out;
    for service in
        now.iter().filter(|s| !left_out.contains(&s.name) && !current.services.iter().any(|c| c.name == s.name))
    {
        let evidence = "is new in the compose files or .env and was not applied";
        found.push(Finding::warning("drift", &service.name, evidence).command("xr install"));
    }
    or_fine(found, "compose files and .env are as they were applied")
}

fn drift(subject: &str) -> Finding {
    let evidence = "its definition (compose files or .env) was changed since it was applied";
    Finding::warning("drift", subject, evidence).command("xr install")
}

fn gone(service: &str) -> Finding {
    Finding::warning("drift", service, "is no longer in the compose files or its profile is off").command("xr install")
}

fn or_fine(found: Vec<Finding>, words: &str) -> Vec<Finding> {
    if found.is_empty() { vec![Finding::info("drift", "definitions", words)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn hashes_are_compared_where_they_can_be_trusted() {
        assert_eq!(words(&check(&healthy())), ["ok drift"]);
        let facts = changed(|f| container(f, 0).config_hash = "other".into());
        assert_eq!(
            (words(&check(&facts)), check(&facts)[0].subject.as_str()),
            (vec!["warning drift".to_owned()], "orbit-server-1")
        );
        let gone = changed(|f| {
            f.hashes.as_mut().unwrap().remove("nginx");
        });
        assert_eq!(words(&check(&gone)), ["warning drift"]);
    }

    #[test]
    fn resolved_definitions_are_compared_where_not() {
        let with = |change: &dyn Fn(&mut Vec<xr_model::Service>)| {
            changed(|f| {
                f.hashes = None;
                let mut now = generation(f).services.clone();
                change(&mut now);
                f.services = Ok(Some(now));
            })
        };
        assert_eq!(words(&check(&with(&|_| {}))), ["ok drift"]);
        assert_eq!(words(&check(&with(&|now| now[0].spec = "other".into()))), ["warning drift"]);
        assert_eq!(words(&check(&with(&|now| now.truncate(1)))), ["warning drift"]);
        assert_eq!(words(&check(&with(&|now| now.push(service("extra"))))), ["warning drift"]);
    }
}
