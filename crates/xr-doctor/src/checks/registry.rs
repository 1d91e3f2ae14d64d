//! Does the registry still have what was pinned (`--online`)?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (Some(current), Some(answers)) = (facts.current(), &facts.registry) else { return Vec::new() };
    let judge = |(reference, answer): &(xr_model::ImageRef, crate::Seen<xr_model::Digest>)| {
        let pinned = current.images.iter().find(|image| image.reference == *reference)?;
        let was = pinned.digest.as_ref()?;
        let name = reference.as_str();
        Some(match answer {
            Err(trouble) => {
                let command = trouble.hint.clone().unwrap_or_else(|| "xr doctor --online, later".to_owned());
                Finding::warning("image.registry", name, &trouble.message).command(command)
            }
            Ok(is) if is == was => Finding::info("image.registry", name, "the registry has what runs here"),
            Ok(is) if pinned.versioned => {
                let evidence = format!("was re-pushed: pinned {}, the registry now has {}", was.short(), is.short());
                let command = format!(
                    "ask the publisher; to take it: xr update --to {} --refresh --accept-repushed",
                    current.version
                );
                Finding::warning("image.repushed", name, evidence).command(command)
            }
            Ok(is) => {
                let evidence =
                    format!("there is newer content: pinned {}, the registry now has {}", was.short(), is.short());
                Finding::info("image.registry", name, evidence).command("xr update --refresh")
            }
        })
    };
    answers.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;
    use xr_model::{Digest, ImageRef};

    #[test]
    fn a_re_pushed_version_is_a_warning_and_newer_content_of_a_floating_tag_is_news() {
        let same = Ok(Digest("sha256:digest-server".into()));
        let other = Ok(Digest("sha256:other".into()));
        let down = Err(Trouble { message: "no answer".into(), hint: None });
        for (answer, versioned, expect) in [
            (same, true, "ok image.registry"),
            (other.clone(), true, "warning image.repushed"),
            (other, false, "note image.registry"),
            (down, true, "warning image.registry"),
        ] {
            let facts = changed(|f| {
                generation(f).images[0].versioned = versioned;
                f.registry = Some(vec![(ImageRef::new("acme/server:v1.0.0"), answer.clone())]);
            });
            assert_eq!(words(&check(&facts)), [expect]);
        }
        assert_eq!(check(&healthy()), []);
    }
}
