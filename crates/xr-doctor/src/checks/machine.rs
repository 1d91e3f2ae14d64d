//! The machine: memory, disk, clock; swap as advice.

use xr_preflight::Grade;

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let judge = |check: &xr_preflight::Check| {
        let finding = match check.grade {
            Grade::Problem => Finding::problem("machine", &check.name, &check.evidence),
            Grade::Warning if check.name == "swap" => Finding::info("machine", &check.name, &check.evidence),
            Grade::Warning => Finding::warning("machine", &check.name, &check.evidence),
            Grade::Good => Finding::info("machine", &check.name, &check.evidence),
        };
        finding.hint(check.hint.clone())
    };
    facts.machine.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use xr_preflight::Check;

    #[test]
    fn swap_is_advice_and_the_rest_keeps_its_grade() {
        for (name, grade, hint, expect) in [
            ("memory", Grade::Good, None, "ok machine"),
            ("swap", Grade::Warning, Some("fallocate …"), "note machine"),
            ("clock", Grade::Warning, Some("timedatectl …"), "warning machine"),
            ("disk /", Grade::Problem, Some("df -h /"), "problem machine"),
        ] {
            let one = Check { name: name.into(), grade, evidence: String::new(), hint: hint.map(str::to_owned) };
            assert_eq!(words(&check(&changed(|f| f.machine = vec![one.clone()]))), [expect]);
        }
    }
}
