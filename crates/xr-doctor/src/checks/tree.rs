//! Does the git tree stand where the generation was made from, without changes of its own?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let head = match &facts.tree.head {
        None => return Vec::new(),
        Some(Err(trouble)) => {
            return vec![Finding::problem("tree.git", "git", &trouble.message).hint(trouble.hint.clone())];
        }
        Some(Ok(head)) => head,
    };
    let root = xr_model::shell(&facts.root);
    let mut found = Vec::new();
    match &facts.tree.changed {
        Ok(changed) if changed.is_empty() => {}
        Ok(changed) => {
            let shown = changed.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if changed.len() > 5 { format!(" and {} more", changed.len() - 5) } else { String::new() };
            let evidence = format!("local changes stop the next update: {shown}{more}");
            found.push(Finding::warning("tree.changes", "git", evidence).command(format!("git -C {root} stash")));
        }
        Err(trouble) => found.push(Finding::problem("tree.git", "git", &trouble.message).hint(trouble.hint.clone())),
    }
    if !facts.tree.strayed.is_empty() {
        let evidence = format!("{}: what mounts their files finds others", facts.tree.strayed.join(", "));
        let command = format!("git -C {root} submodule update --init --recursive && xr install");
        found.push(Finding::warning("tree.submodules", "git submodules", evidence).command(command));
    }
    if !facts.tree.absent.is_empty() {
        let evidence = format!("not here: {}; right where no service mounts them", facts.tree.absent.join(", "));
        let command = format!("git -C {root} submodule update --init --recursive && xr install");
        found.push(Finding::info("tree.submodules", "git submodules", evidence).command(command));
    }
    let short = head.commit.get(..8).unwrap_or(&head.commit);
    let applied = facts.current().and_then(|current| Some((current, current.commit.as_ref()?)));
    match applied {
        // A tag that differs is told with the versions.
        Some((current, commit)) if *commit != head.commit && tells_the_tag(facts, current) => {
            let was = commit.get(..8).unwrap_or(commit);
            let evidence =
                format!("the tree was moved to {short} by hand; generation {} was made from {was}", current.number);
            found.push(
                Finding::warning("tree.commit", "git", evidence)
                    .command(format!("xr install --version {}", current.version)),
            );
        }
        None if head.branch.is_none() && facts.tree.tags.is_empty() => {
            let evidence = format!("detached at {short}, which is no release that this clone knows");
            found.push(
                Finding::warning("tree.commit", "git", evidence)
                    .command(format!("git -C {root} fetch --tags; xr update")),
            );
        }
        _ => {}
    }
    if found.is_empty() {
        let place = head.branch.as_ref().map_or_else(|| "detached".to_owned(), |branch| format!("branch {branch}"));
        found.push(Finding::info("tree.git", "git", format!("{place} at {short}, no local changes")));
    }
    found
}

fn tells_the_tag(facts: &Facts, current: &xr_model::Generation) -> bool {
    facts.tree.tags.is_empty() || facts.tree.tags.contains(&current.version)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    #[test]
    fn changes_and_moves_by_hand_are_warnings() {
        let table: [(Change<'_>, &[&str]); 9] = [
            (&|_| {}, &["ok tree.git"]),
            (&|f| f.tree.strayed = vec!["conf stands at 1, not at 2".into()], &["warning tree.submodules"]),
            (&|f| f.tree.absent = vec!["conf".into()], &["note tree.submodules"]),
            (&|f| f.tree.head = None, &[]),
            (&|f| f.tree.changed = Ok(vec!["docker/docker-compose.yml".into()]), &["warning tree.changes"]),
            (
                &|f| {
                    f.tree.head = Some(Ok(head("another")));
                    f.tree.tags.clear();
                },
                &["warning tree.commit"],
            ),
            (
                &|f| {
                    f.tree.head = Some(Ok(head("another")));
                    f.tree.tags = vec![version("v9.9.9")];
                },
                &["ok tree.git"],
            ),
            (
                &|f| {
                    f.history.current = Ok(None);
                    f.tree.tags.clear();
                },
                &["warning tree.commit"],
            ),
            (&|f| f.tree.head = Some(Err(Trouble { message: "damaged".into(), hint: None })), &["problem tree.git"]),
        ];
        for (change, expect) in table {
            assert_eq!(words(&check(&changed(change))), expect);
        }
    }
}
