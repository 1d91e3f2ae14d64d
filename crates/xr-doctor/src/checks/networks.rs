//! Are the stack's networks as they were when its version was applied?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    // An engine that does not answer is told elsewhere.
    let (Some(current), Ok(networks)) = (facts.current(), &facts.networks) else { return Vec::new() };
    let wrong = current.networks_made.iter().filter_map(|(name, made)| {
        let what = match networks.get(name) {
            None => "is gone",
            Some(now) if now != made => "was made anew with another driver or other options than its definition has",
            Some(_) => return None,
        };
        Some(Finding::problem("network", name, what).command("xr install"))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn a_network_that_is_gone_or_was_made_otherwise_is_a_problem() {
        let with = |now: &[(&str, &str)]| {
            changed(|f| {
                let made = [("orbit_default".to_owned(), "as made".to_owned())].into();
                f.history.current.as_mut().unwrap().as_mut().unwrap().networks_made = made;
                f.networks = Ok(now.iter().map(|(name, made)| ((*name).to_owned(), (*made).to_owned())).collect());
            })
        };
        assert_eq!(check(&with(&[("orbit_default", "as made")])), []);
        assert_eq!(words(&check(&with(&[("orbit_default", "otherwise")]))), ["problem network"]);
        assert_eq!(words(&check(&with(&[]))), ["problem network"]);
    }
}
