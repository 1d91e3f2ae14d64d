//! Is every image of the generation on the disk, the worker's too, and does its tag still mean it?

use xr_model::{Mode, PinnedImage};

use crate::{
    facts::{Facts, short},
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (Some(current), Ok(_)) = (facts.current(), &facts.images) else { return Vec::new() };
    current.images.iter().map(|pinned| judge(facts, pinned, current.mode)).collect()
}

fn judge(facts: &Facts, pinned: &PinnedImage, mode: Mode) -> Finding {
    let name = pinned.reference.as_str();
    let worker = pinned.services.is_empty();
    let pull = || {
        pinned.digest.as_ref().filter(|_| mode == Mode::Production).map_or_else(
            || "xr install".to_owned(),
            |digest| format!("docker pull {0} && docker tag {0} {name}", pinned.reference.pinned(digest)),
        )
    };
    let unpinned = pinned.image_id.is_empty() && pinned.digest.is_none();
    let Some(local) = (if unpinned { facts.meant_by(&pinned.reference) } else { facts.local(pinned) }) else {
        let evidence = if worker {
            "is not on the disk; tasks start it, and the first one would have to fetch it"
        } else {
            "is not on the disk: its container cannot be made again"
        };
        return Finding::problem("image.missing", name, evidence).command(pull());
    };
    if pinned.reference.digest().is_some() {
        return Finding::info("image.local", name, "on the disk, by digest");
    }
    match facts.meant_by(&pinned.reference) {
        Some(meant) if meant.id == local.id || meant.holds(pinned) => {
            let what = pinned.digest.as_ref().map_or_else(|| short(&local.id), |digest| digest.short());
            Finding::info("image.local", name, format!("on the disk ({what})"))
        }
        other => {
            let evidence = match other {
                Some(other) => format!(
                    "means image {} here; the generation pinned {}: the tag was re-pushed or set by hand",
                    short(&other.id),
                    short(&local.id)
                ),
                None => format!("has lost its tag here; the pinned image {} is on the disk", short(&local.id)),
            };
            let finding = if worker {
                Finding::problem("image.tag", name, evidence)
            } else {
                Finding::warning("image.tag", name, evidence)
            };
            finding
                .command(format!("docker tag {} {name}", local.id))
                .fix(Fix::Retag { image: local.id.clone(), reference: pinned.reference.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn missing_images_and_moved_tags_are_told() {
        assert_eq!(words(&check(&healthy())), ["ok image.local"; 3]);
        type Change<'a> = &'a dyn Fn(&mut Vec<xr_model::LocalImage>);
        let table: [(Change<'_>, &str, bool); 4] = [
            (&|images| images.retain(|i| i.id != "sha256:id-worker"), "problem image.missing", false),
            (&|images| images.retain(|i| i.id != "sha256:id-nginx"), "problem image.missing", false),
            (
                &|images| {
                    images[0].tags.clear();
                    images.push(image("sha256:new", "docker.io/acme/server:v1.0.0"));
                },
                "warning image.tag",
                true,
            ),
            (&|images| images[2].tags.clear(), "problem image.tag", true),
        ];
        for (change, expect, fixed) in table {
            let found: Vec<Finding> = check(&changed(|f| change(f.images.as_mut().unwrap())))
                .into_iter()
                .filter(|f| f.word() != "ok")
                .collect();
            assert_eq!((words(&found), found[0].fix.is_some()), (vec![expect.to_owned()], fixed));
        }
    }

    #[test]
    fn a_missing_image_is_pulled_by_its_digest() {
        let facts = changed(|f| f.images.as_mut().unwrap().retain(|i| i.id != "sha256:id-worker"));
        let found = check(&facts).into_iter().find(|f| f.word() == "problem").unwrap();
        let expect = "docker pull acme/worker@sha256:digest-worker && docker tag acme/worker@sha256:digest-worker acme/worker:v1.0.0";
        assert_eq!(found.command.as_deref(), Some(expect));
    }
}
