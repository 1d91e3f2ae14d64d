//! The judgement: pure, one check per file.

mod certificate;
mod containers;
mod docker;
mod drift;
mod env_keys;
mod env_spelling;
mod generations;
mod images;
mod leftovers;
mod machine;
mod networks;
mod permissions;
mod ports;
mod project;
mod registry;
mod runs;
mod stack;
mod tags;
#[cfg(test)]
mod testing;
mod tree;
mod trust;
mod versions;

use super::{facts::Facts, finding::Finding};

type Check = fn(&Facts) -> Vec<Finding>;

/// What can be judged at any moment.
const ALWAYS: [Check; 11] = [
    stack::check,
    runs::check,
    docker::check,
    project::check,
    registry::check,
    env_spelling::check,
    permissions::check,
    certificate::check,
    generations::check,
    trust::check,
    machine::check,
];

/// What compares the present with the generation that serves: not while a run is between two of them.
const AT_REST: [Check; 10] = [
    versions::check,
    containers::check,
    leftovers::check,
    drift::check,
    networks::check,
    images::check,
    tags::check,
    env_keys::check,
    tree::check,
    ports::check,
];

/// Judges. The worst first; within a severity in the order of the checks.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ALWAYS.iter().flat_map(|check| check(facts)).collect();
    if facts.is_between() {
        findings.extend(containers::anything_serves(facts));
    } else {
        findings.extend(AT_REST.iter().flat_map(|check| check(facts)));
    }
    for finding in &mut findings {
        finding.strike_out(&facts.secrets);
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}
