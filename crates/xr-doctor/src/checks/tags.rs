//! Tags that may come to mean other content.
//!
//! What a generation pinned stays what it is whatever its tag does, so a floating tag is only news; `latest` and
//! whatever was not pinned is a warning.

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut judge = |reference: &xr_model::ImageRef, pinned: bool| {
        if !reference.floats() {
            return;
        }
        let name = reference.as_str();
        found.push(match (reference.tag().unwrap_or("latest"), pinned) {
            ("latest", _) => Finding::warning(
                "image.floating",
                name,
                "`latest` names no version: nobody can say what runs, and rollback knows it by digest alone",
            )
            .command(format!(
                "name a version: image: {}:VERSION in the compose file, then xr install",
                reference.name()
            )),
            (_, true) => Finding::info("image.floating", name, "floats, but is pinned here by digest")
                .command("xr update --refresh"),
            (_, false) => Finding::warning(
                "image.floating",
                name,
                "floats and is not pinned: the next pull may bring other content",
            )
            .command("xr install"),
        });
    };
    match facts.current() {
        Some(current) => current.images.iter().for_each(|image| judge(&image.reference, image.digest.is_some())),
        // Not known rather than not pinned.
        None if facts.history.current.is_err() => {}
        None => facts.expected().iter().for_each(|service| judge(&service.image, false)),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use xr_model::ImageRef;

    #[test]
    fn latest_is_worse_than_a_pinned_floating_tag() {
        for (reference, pinned, expect) in [
            ("acme/server:v1.0.0", true, None),
            ("postgres:15", true, Some("note image.floating")),
            ("postgres:15", false, Some("warning image.floating")),
            ("acme/server:latest", true, Some("warning image.floating")),
            ("acme/server", true, Some("warning image.floating")),
        ] {
            let facts = changed(|f| {
                let image = &mut generation(f).images[0];
                image.reference = ImageRef::new(reference);
                if !pinned {
                    image.digest = None;
                }
            });
            assert_eq!(words(&check(&facts)).first().map(String::as_str), expect, "{reference} {pinned}");
        }
    }
}
