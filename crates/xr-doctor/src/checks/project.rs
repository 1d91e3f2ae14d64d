//! Is the compose project this stack's alone? Its name is the folder's unless somebody names it: `docker`, often.

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(other) = facts.strangers.first() else { return Vec::new() };
    let project = &facts.project;
    if facts.current().is_some() {
        let evidence = format!(
            "containers of `{project}` were made from {other}: another stack has the same name, or this one was moved"
        );
        return vec![
            Finding::warning("project", "compose project", evidence)
                .command("xr install   # if it was moved: makes them from here"),
        ];
    }
    let evidence = format!(
        "{other} runs under the name `{project}` already: an installation here would take over its containers and volumes"
    );
    let name = facts.root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    vec![
        Finding::problem("project", "compose project", evidence)
            .command(format!("xr env set COMPOSE_PROJECT_NAME {name}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn a_project_name_that_another_stack_has_is_a_problem_before_the_first_install() {
        assert_eq!(check(&healthy()), []);
        let moved = changed(|f| f.strangers = vec!["/opt/orbit/docker".into()]);
        assert_eq!(words(&check(&moved)), ["warning project"]);
        let other = changed(|f| {
            f.strangers = vec!["/opt/orbit/docker".into()];
            f.history.current = Ok(None);
        });
        assert_eq!(words(&check(&other)), ["problem project"]);
    }
}
