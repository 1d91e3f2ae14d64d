//! Who can read the secrets, whose the files are, and whether they can be written at all.

use crate::{
    facts::Facts,
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (uid, gid) = facts.owner;
    let mut found = Vec::new();
    for place in &facts.places {
        let (subject, path) = (facts.shown(&place.path), place.path.display());
        if place.mode & 0o077 != 0 {
            let who = if place.mode & 0o007 != 0 { "every user" } else { "its group" };
            let evidence =
                format!("has mode {:04o}: open to {who} of this machine, and it holds secrets", place.mode & 0o7777);
            let finding = if place.mode & 0o007 != 0 {
                Finding::problem("permission.mode", &subject, evidence)
            } else {
                Finding::warning("permission.mode", &subject, evidence)
            };
            let fix = Fix::Mode { path: place.path.clone(), mode: place.wanted };
            found.push(finding.command(format!("chmod {:o} {path}", place.wanted)).fix(fix));
        }
        if place.uid != uid {
            let evidence = format!("belongs to user {}, the stack to user {uid}", place.uid);
            let finding = Finding::warning("permission.owner", &subject, evidence)
                .command(format!("sudo chown -R {uid}:{gid} {path}"));
            found.push(finding.fix(Fix::Owner { paths: vec![place.path.clone()], uid, gid }));
        }
    }
    for trouble in &facts.read_only {
        found.push(Finding::problem("permission.disk", "disk", &trouble.message).hint(trouble.hint.clone()));
    }
    if let Some(first) = facts.foreign.first() {
        let git = facts.root.join(".git");
        let more =
            if facts.foreign.len() > 1 { format!(" and {} more", facts.foreign.len() - 1) } else { String::new() };
        let evidence = format!(
            "{}{more} not of user {uid}, who owns the stack: git will refuse to work there",
            facts.shown(first)
        );
        let finding = Finding::problem("permission.git", ".git", evidence)
            .command(format!("sudo chown -R {uid}:{gid} {}", xr_model::shell(&git)));
        found.push(finding.fix(Fix::Owner { paths: vec![git], uid, gid }));
    }
    if found.is_empty() && !facts.places.is_empty() {
        found.push(Finding::info("permission.mode", "permissions", "secrets are their owner's alone"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    #[test]
    fn modes_and_owners_are_judged() {
        for (mode, uid, expect) in [
            (0o600, 1000, vec!["ok permission.mode"]),
            (0o400, 1000, vec!["ok permission.mode"]),
            (0o640, 1000, vec!["warning permission.mode"]),
            (0o644, 1000, vec!["problem permission.mode"]),
            (0o600, 0, vec!["warning permission.owner"]),
            (0o644, 0, vec!["problem permission.mode", "warning permission.owner"]),
        ] {
            let facts = changed(|f| (f.places[0].mode, f.places[0].uid) = (mode, uid));
            assert_eq!(words(&check(&facts)), expect, "{mode:o} {uid}");
            assert!(check(&facts).iter().all(|f| (f.word() == "ok") == f.fix.is_none()));
        }
    }

    #[test]
    fn a_disk_that_takes_no_writes_is_a_problem_with_its_remedy() {
        let trouble = Trouble { message: "cannot write to /srv: read-only".into(), hint: Some("mount".into()) };
        let found = check(&changed(|f| f.read_only = vec![trouble.clone()]));
        assert_eq!(
            (words(&found), found[0].command.as_deref()),
            (vec!["problem permission.disk".into()], Some("mount"))
        );
    }

    #[test]
    fn files_of_root_in_a_users_clone_are_one_problem() {
        let facts =
            changed(|f| f.foreign = vec!["/srv/orbit/.git/FETCH_HEAD".into(), "/srv/orbit/.git/objects/ab".into()]);
        let found = check(&facts);
        assert_eq!(words(&found), ["problem permission.git"]);
        assert!(found[0].evidence.starts_with(".git/FETCH_HEAD and 1 more"));
        assert_eq!(found[0].command.as_deref(), Some("sudo chown -R 1000:1000 /srv/orbit/.git"));
    }
}
