//! No secret of `.env` leaves a run in what programs said: logs of containers and output of hooks are shown and recorded.

use xr_env_writer::must_be_masked;
use xr_model::Fault;

use crate::{World, failure::Failure, prepare::Prepared, settings, staging};

/// What stands for a secret.
const MASK: &str = "********";
/// What is shorter is no secret, and would mask half of every text.
const SHORTEST: usize = 6;

/// The failure, without the secrets of the present and the next `.env`.
pub(crate) fn failure(world: &World<'_>, prepared: &Prepared, failure: Failure) -> Failure {
    let secrets = secrets(world, prepared);
    let mut fault = failure.fault;
    let chain = fault.chain();
    let told = without(&secrets, &chain);
    if told != chain {
        fault = Fault { source: None, message: told, ..fault };
    }
    let log = failure.log.iter().map(|line| without(&secrets, line)).collect();
    Failure { fault, log, service: failure.service }
}

/// The values to hide, the longest first: one may hold another.
fn secrets(world: &World<'_>, prepared: &Prepared) -> Vec<String> {
    let staged = xr_stack::load(&staging::root_of(world, prepared.generation.number)).ok();
    let next = staged.map(|stack| stack.layout.env_path());
    let files = next.into_iter().chain([world.stack.layout.env_path()]).filter_map(|p| settings::parse_env(&p).ok()?);
    let ruled = |key: &str| prepared.manifest.secrets.iter().any(|rule| rule.key == key);
    let mut found = Vec::new();
    for file in files {
        for key in file.keys() {
            let value = file.get(key).map(|value| value.text).unwrap_or_default();
            if value.len() >= SHORTEST && (ruled(key) || must_be_masked(key, &value)) {
                found.push(value);
            }
        }
    }
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    found.dedup();
    found
}

fn without(secrets: &[String], text: &str) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_within_another_leaves_no_rest() {
        let secrets = ["postgres://me:hunter22@db".to_owned(), "hunter22".to_owned()];
        assert_eq!(without(&secrets, "dsn postgres://me:hunter22@db, hunter22!"), "dsn ********, ********!");
    }
}
