//! Could an older generation be brought back without the registry?

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (Some(current), Ok(kept), Ok(_)) = (facts.current(), &facts.history.kept, &facts.images) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for generation in kept.iter().filter(|g| g.number != current.number) {
        let missing: Vec<_> = generation.images.iter().filter(|image| facts.local(image).is_none()).collect();
        let subject = format!("generation {}", generation.number);
        if missing.is_empty() {
            let evidence = format!("{}: every image is on the disk, a rollback needs no network", generation.version);
            found.push(Finding::info("generation.images", subject, evidence));
            continue;
        }
        let names = missing.iter().map(|image| image.reference.as_str()).collect::<Vec<_>>().join(", ");
        let evidence =
            format!("{}: not on the disk any more: {names}; a rollback would need the registry", generation.version);
        let pulls: Vec<String> = missing
            .iter()
            .filter_map(|image| Some(format!("docker pull {}", image.reference.pinned(image.digest.as_ref()?))))
            .collect();
        let next = current.parent == Some(generation.number);
        let finding = if next {
            Finding::warning("generation.images", subject, evidence)
        } else {
            Finding::info("generation.images", subject, evidence)
        };
        found.push(finding.command(if pulls.is_empty() { "xr prune".to_owned() } else { pulls.join(" && ") }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use xr_model::{Digest, ImageRef};

    #[test]
    fn images_that_are_gone_are_told_and_matter_most_for_the_next_rollback() {
        for (parent, present, expect) in [
            (Some(1), true, "ok generation.images"),
            (Some(1), false, "warning generation.images"),
            (None, false, "note generation.images"),
        ] {
            let facts = changed(|f| {
                let mut old = generation(f).clone();
                generation(f).number = 2;
                generation(f).parent = parent;
                if !present {
                    let image = &mut old.images[0];
                    image.reference = ImageRef::new("acme/server:v0.9.0");
                    image.image_id = "sha256:gone".into();
                    image.digest = Some(Digest("sha256:gone".into()));
                }
                let now = generation(f).clone();
                f.history.kept = Ok(vec![old, now]);
            });
            assert_eq!(words(&check(&facts)), [expect]);
        }
    }
}
