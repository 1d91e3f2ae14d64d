//! How long is the TLS certificate good?

use crate::{facts::Facts, finding::Finding};

/// Days of warning.
const SOON: i64 = 30;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(fact) = &facts.certificate else { return Vec::new() };
    let subject = facts.shown(&fact.path);
    // A pair that is moved away is made anew, self-signed; one of a real authority is renewed by whoever got it.
    let renew = || {
        let key = facts.manifest.certificate.as_ref().map_or("privkey.pem", |rule| rule.key.as_str());
        let folder = fact.path.parent().unwrap_or(&facts.root).display();
        format!(
            "renew it; a self-signed one: mkdir -p {folder}/old && mv {} {folder}/{key} {folder}/old && xr install",
            fact.path.display()
        )
    };
    vec![match &fact.expiry {
        None if facts.current().is_some() => {
            Finding::problem("certificate", subject, "is missing").command("xr install")
        }
        None => Finding::info("certificate", subject, "is made at the first install").command("xr install"),
        Some(Err(trouble)) => Finding::problem("certificate", subject, &trouble.message).command(renew()),
        Some(Ok(expiry)) if expiry.days_left < 0 => {
            Finding::problem("certificate", subject, format!("expired {} days ago", -expiry.days_left)).command(renew())
        }
        Some(Ok(expiry)) if expiry.days_left < SOON => {
            Finding::warning("certificate", subject, format!("expires in {} days", expiry.days_left)).command(renew())
        }
        Some(Ok(expiry)) => Finding::info("certificate", subject, format!("good for {} days", expiry.days_left)),
    }]
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::{CertificateFact, Seen, Trouble};
    use xr_preflight::certificate::Expiry;

    #[test]
    fn days_decide() {
        let days = |days_left| Some(Ok(Expiry { not_after: 0, days_left }));
        let table: [(Option<Seen<Expiry>>, &str); 6] = [
            (days(31), "ok certificate"),
            (days(29), "warning certificate"),
            (days(0), "warning certificate"),
            (days(-1), "problem certificate"),
            (None, "problem certificate"),
            (Some(Err(Trouble { message: "no PEM".into(), hint: None })), "problem certificate"),
        ];
        for (expiry, expect) in table {
            let facts = changed(|f| {
                f.certificate =
                    Some(CertificateFact { path: "/srv/orbit/ssl/fullchain.pem".into(), expiry: expiry.clone() })
            });
            assert_eq!(words(&check(&facts)), [expect]);
        }
        assert_eq!(check(&healthy()), []);
    }
}
