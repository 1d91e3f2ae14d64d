//! Can the stack's own description be read, and is anything installed?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts
        .stack_troubles
        .iter()
        .map(|trouble| Finding::problem("stack.description", "stack", &trouble.message).hint(trouble.hint.clone()))
        .collect();
    match &facts.history.current {
        Err(trouble) => {
            found.push(Finding::problem("stack.history", ".xr", &trouble.message).hint(trouble.hint.clone()))
        }
        Ok(None) if facts.all_containers().is_empty() => {
            found.push(
                Finding::warning("stack.installed", "stack", "nothing is installed here yet").command("xr install"),
            );
        }
        Ok(None) => {
            let evidence = "containers run that xr did not start: there is nothing to roll back to yet";
            found.push(Finding::warning("stack.installed", "stack", evidence).command("xr install"));
        }
        Ok(Some(current)) => {
            let evidence =
                format!("{} (generation {}, applied {})", current.version, current.number, current.applied_at);
            found.push(Finding::info("stack.installed", "stack", evidence));
        }
    }
    if let (Ok(_), Err(trouble)) = (&facts.history.current, &facts.history.kept) {
        found.push(Finding::problem("stack.history", ".xr", &trouble.message).hint(trouble.hint.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    #[test]
    fn a_broken_description_and_a_broken_history_are_problems() {
        let trouble = Trouble { message: "xr.toml:3:1: unknown field".into(), hint: Some("docs".into()) };
        let table: [(Change<'_>, &[&str]); 5] = [
            (&|_| {}, &["ok stack.installed"]),
            (&|f| f.stack_troubles.push(trouble.clone()), &["problem stack.description", "ok stack.installed"]),
            (&|f| f.history.current = Err(trouble.clone()), &["problem stack.history"]),
            (&|f| f.history.kept = Err(trouble.clone()), &["ok stack.installed", "problem stack.history"]),
            (&|f| f.history.current = Ok(None), &["warning stack.installed"]),
        ];
        for (change, expect) in table {
            assert_eq!(words(&check(&changed(change))), expect);
        }
    }
}
