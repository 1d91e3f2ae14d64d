//! Who signed what serves, and whether what comes next will be checked.

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let verified = facts.current().map(|current| current.verified.as_slice()).unwrap_or_default();
    let mut found: Vec<Finding> =
        verified.iter().map(|one| Finding::info("trust.verified", "release", one.to_string())).collect();
    match &facts.trust {
        Err(trouble) => {
            found.push(
                Finding::problem("trust.keys", "keys", format!("releases cannot be verified: {}", trouble.message))
                    .hint(trouble.hint.clone()),
            );
        }
        Ok(None) => {}
        Ok(Some(trust)) => {
            let what = match (trust.git, trust.list) {
                (true, true) => "tags and images",
                (true, false) => "tags (images are not: no minisign key is trusted)",
                _ => "the signed list",
            };
            let evidence = format!("the next release is verified by keys of {}: {what}", trust.origin);
            found.push(match trust.required {
                true => Finding::info("trust.keys", "keys", format!("{evidence}; what is not signed is refused")),
                false => {
                    Finding::info("trust.keys", "keys", format!("{evidence}; what is not signed is taken all the same"))
                        .command("[trust] required = true in .xr/site.toml refuses it")
                }
            });
            for spent in &trust.spent {
                let finding = Finding::warning("trust.spent", "keys", format!("{spent}: it verifies nothing any more"));
                found.push(
                    finding.command(
                        "ask the publisher for the key that signs now; [trust] keys in .xr/site.toml takes it",
                    ),
                );
            }
            if facts.current().is_some() && verified.is_empty() {
                let evidence = "what serves was applied without a verified signature";
                let finding = Finding::info("trust.verified", "release", evidence);
                found.push(finding.command("xr update   # what comes next is verified"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use xr_model::{Covers, Verified};

    use super::{super::testing::*, *};
    use crate::facts::{Trouble, TrustFact};

    #[test]
    fn what_is_verified_and_what_would_not_be_is_told() {
        let keys = |required| {
            let spent = if required { vec![] } else { vec!["a.asc has expired".to_owned()] };
            Ok(Some(TrustFact { origin: "generation 1".into(), required, git: true, list: false, spent }))
        };
        let signed = |facts: &mut Facts| {
            let (subject, key) = ("tag v1.0.0".to_owned(), "OpenPGP key ABCD".to_owned());
            let (owner, trusted_by) = ("Acme".to_owned(), "generation 1".to_owned());
            generation(facts).verified = vec![Verified { covers: Covers::Tree, subject, key, owner, trusted_by }];
        };
        let broken = || Err(Trouble { message: "a.asc: not a public key".into(), hint: Some("gpg --export".into()) });
        assert!(check(&healthy()).is_empty());
        let found = check(&changed(|f| (f.trust = keys(true), signed(f)).1));
        assert_eq!(words(&found), ["ok trust.verified", "ok trust.keys"]);
        assert!(
            found[0].evidence.contains("tag v1.0.0 signed by OpenPGP key ABCD (Acme), key trusted by generation 1")
        );
        assert_eq!(
            words(&check(&changed(|f| f.trust = keys(false)))),
            ["note trust.keys", "warning trust.spent", "note trust.verified"]
        );
        assert_eq!(words(&check(&changed(|f| f.trust = broken()))), ["problem trust.keys"]);
    }
}
