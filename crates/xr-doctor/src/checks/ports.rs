//! Are the published ports the stack's, and does somebody listen?

use xr_preflight::ports::Conflict;

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for taken in &facts.taken {
        let port = &taken.port;
        let service = facts.expected().iter().find(|s| s.ports.contains(port)).map_or("", |s| s.name.as_str());
        let subject = format!("port {}/{}", port.published, port.protocol);
        let (evidence, command) = match taken.conflict {
            Conflict::InUse => {
                let by = taken.by.clone().unwrap_or_else(|| "another program".to_owned());
                (
                    format!("{service} wants it, and {by} has it"),
                    format!(
                        "ss -ltnp 'sport = :{}'   # stop that program, or publish another port in .env",
                        port.published
                    ),
                )
            }
            Conflict::NoSuchAddress => (
                format!("{service} wants it at {}, which is no address of this machine", port.host_ip),
                "ip -brief address   # then correct the address in .env".to_owned(),
            ),
        };
        found.push(Finding::problem("port.taken", subject, evidence).command(command));
    }
    for (container, address) in &facts.silent {
        let evidence = format!("{container} runs and publishes it, but nobody answers there");
        found.push(
            Finding::problem("port.silent", format!("port {address}"), evidence)
                .command(format!("docker restart {container}")),
        );
    }
    if found.is_empty() {
        let ports: Vec<String> = facts
            .all_containers()
            .iter()
            .filter(|c| c.is_running())
            .flat_map(|c| &c.ports)
            .map(|p| p.published.to_string())
            .collect();
        if !ports.is_empty() {
            found.push(Finding::info("port.silent", "ports", format!("{} answer", ports.join(", "))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use xr_preflight::ports::TakenPort;

    #[test]
    fn strangers_and_silence_are_problems() {
        assert_eq!(words(&check(&healthy())), ["ok port.silent"]);
        let taken = |conflict| {
            changed(|f| {
                let port = generation(f).services[1].ports[0].clone();
                f.taken = vec![TakenPort { port, conflict, by: Some("apache2 (pid 7)".into()) }];
            })
        };
        let found = check(&taken(Conflict::InUse));
        assert_eq!(
            (words(&found), found[0].evidence.as_str()),
            (vec!["problem port.taken".to_owned()], "nginx wants it, and apache2 (pid 7) has it")
        );
        assert_eq!(words(&check(&taken(Conflict::NoSuchAddress))), ["problem port.taken"]);
        let silent = changed(|f| f.silent = vec![("orbit-nginx-1".into(), "127.0.0.1:8083".into())]);
        assert_eq!(words(&check(&silent)), ["problem port.silent"]);
    }
}
