//! One version everywhere? VERSION, the git tag, `.env` and every container against the generation that serves.

use xr_model::{Container, Generation, PinnedImage};

use crate::{
    facts::{Facts, short},
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(current) = facts.current() else { return before_the_first(facts) };
    let mut found = vec![version_file(facts, current)];
    found.extend(git_tag(facts, current));
    found.extend(key(facts, current));
    for container in facts.all_containers().iter().filter(|c| !crate::facts::is_leftover(&c.name)) {
        let pinned = current.images.iter().find(|image| image.services.contains(&container.service));
        found.extend(pinned.and_then(|pinned| runs(facts, container, pinned)));
    }
    found
}

/// Nothing was applied by xr: VERSION and `.env` should at least agree with each other.
fn before_the_first(facts: &Facts) -> Vec<Finding> {
    let version = match &facts.tree.version {
        Ok(version) => version,
        Err(trouble) => {
            return vec![Finding::problem("version.file", "VERSION", &trouble.message).hint(trouble.hint.clone())];
        }
    };
    let key = &facts.manifest.version.key;
    let mut found = vec![Finding::info("version.file", "VERSION", version.as_str())];
    if let Some(tag) = facts
        .env()
        .and_then(|env| env.get(key))
        .filter(|v| !v.text.is_empty() && v.text.parse().ok().as_ref() != Some(version))
    {
        let evidence = format!("{}, but VERSION is {version}", tag.text);
        found.push(
            Finding::warning("version.env", format!("{}:{}: {key}", facts.env_name(), tag.line), evidence)
                .command("xr install"),
        );
    }
    found
}

fn version_file(facts: &Facts, current: &Generation) -> Finding {
    let name = facts.layout.as_ref().map_or("VERSION", |layout| layout.version.as_str());
    let mend = |finding: Finding| {
        // A tree that was moved by hand has its own VERSION for a reason.
        if facts.runs_current() && at_the_generations_commit(facts, current) {
            finding
                .command(format!("echo {} > {}", current.version, xr_model::shell(&facts.root.join(name))))
                .fix(Fix::VersionFile { version: current.version.clone() })
        } else {
            finding.command("xr install")
        }
    };
    match &facts.tree.version {
        Ok(version) if *version == current.version => Finding::info("version.file", name, version.as_str()),
        Ok(version) => {
            let evidence = format!("says {version}; generation {} is {}", current.number, current.version);
            if facts.tree.head.is_none() {
                // Without git VERSION came with a bundle: rewritten, it would name the new files after the old version.
                let text = format!("xr update   # takes it; to stay, unpack the bundle of {} again", current.version);
                return Finding::problem("version.file", name, evidence).command(text);
            }
            mend(Finding::problem("version.file", name, evidence))
        }
        Err(trouble) => mend(Finding::problem("version.file", name, &trouble.message)),
    }
}

fn at_the_generations_commit(facts: &Facts, current: &Generation) -> bool {
    match (&facts.tree.head, &current.commit) {
        (Some(Ok(head)), Some(commit)) => head.commit == *commit,
        _ => true,
    }
}

fn git_tag(facts: &Facts, current: &Generation) -> Option<Finding> {
    let Some(Ok(_)) = &facts.tree.head else { return None };
    if facts.tree.tags.is_empty() {
        return None; // judged by its commit
    }
    let tags = facts.tree.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>().join(", ");
    if facts.tree.tags.contains(&current.version) {
        return Some(Finding::info("version.git", "git tag", tags));
    }
    let evidence = format!("the tree stands at {tags}; generation {} is {}", current.number, current.version);
    let command = format!(
        "xr install   # applies what the tree holds; to go back instead: xr install --version {}",
        current.version
    );
    Some(Finding::problem("version.git", "git tag", evidence).command(command))
}

fn key(facts: &Facts, current: &Generation) -> Option<Finding> {
    let key = &facts.manifest.version.key;
    let env = facts.env()?;
    let finding = match env.get(key) {
        Some(value) if value.text.parse().ok().as_ref() == Some(&current.version) => {
            return Some(Finding::info("version.env", format!("{} {key}", facts.env_name()), value.text));
        }
        // One that floats, or that is no version of the product's.
        Some(value) if current.has_tag(&value.text) => {
            return Some(Finding::info("version.env", format!("{} {key}", facts.env_name()), value.text));
        }
        Some(value) => {
            let evidence = format!("says `{}`; generation {} is {}", value.text, current.number, current.version);
            Finding::problem("version.env", format!("{}:{}: {key}", facts.env_name(), value.line), evidence)
        }
        // Nothing was pinned by it.
        None if !current.images.iter().any(|image| image.versioned) => return None,
        None => Finding::problem("version.env", format!("{} {key}", facts.env_name()), "is missing"),
    };
    let finding = finding.command(format!("xr env set {key} {}", current.version));
    let safe = facts.runs_current();
    Some(if safe {
        finding.fix(Fix::VersionKey { key: key.clone(), version: current.version.clone() })
    } else {
        finding
    })
}

fn runs(facts: &Facts, container: &Container, pinned: &PinnedImage) -> Option<Finding> {
    let id = short(&container.image_id);
    match facts.runs(container, pinned) {
        Some(true) => Some(Finding::info("version.container", &container.name, format!("{} ({id})", pinned.reference))),
        Some(false) => {
            let wanted = pinned.digest.as_ref().map_or_else(|| short(&pinned.image_id), |digest| digest.short());
            let tag = if container.image == pinned.reference.as_str() {
                "the tag is the same, the content is not".to_owned()
            } else {
                container.image.clone()
            };
            let evidence = format!("runs image {id} ({tag}); the generation pinned {} {wanted}", pinned.reference);
            Some(Finding::problem("version.container", &container.name, evidence).command("xr install"))
        }
        // An image that was built here before anything was pinned: its name is all there is.
        None if container.image == pinned.reference.as_str() => {
            Some(Finding::info("version.container", &container.name, &container.image))
        }
        None if facts.images.is_err() => None,
        None => {
            let evidence = format!("runs {}; the generation has {}", container.image, pinned.reference);
            Some(Finding::problem("version.container", &container.name, evidence).command("xr install"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    fn bad(facts: &Facts) -> Vec<(String, Option<String>, bool)> {
        let found = check(facts).into_iter().filter(|f| f.word() != "ok");
        found.map(|f| (format!("{} {}", f.word(), f.check), f.command.clone(), f.fix.is_some())).collect()
    }

    #[test]
    fn every_place_that_names_a_version_has_a_row() {
        let checks: Vec<&str> = check(&healthy()).iter().map(|f| f.check).collect();
        assert_eq!(checks, ["version.file", "version.git", "version.env", "version.container", "version.container"]);
        assert_eq!(bad(&healthy()), []);
    }

    #[test]
    fn what_names_another_version_is_a_problem_and_is_rewritten_only_when_the_containers_run_the_generation() {
        let install = Some("xr install".to_owned());
        let set = Some("xr env set IMAGE_TAG v1.0.0".to_owned());
        let echo = Some("echo v1.0.0 > /srv/orbit/VERSION".to_owned());
        let bundle = Some("xr update   # takes it; to stay, unpack the bundle of v1.0.0 again".to_owned());
        let table: [(Change<'_>, &str, Option<String>, bool); 9] = [
            (
                &|f| {
                    f.tree.version = Ok(version("v1.1.0"));
                    f.tree.head = None;
                },
                "problem version.file",
                bundle,
                false,
            ),
            (&|f| f.tree.version = Ok(version("v0.9.0")), "problem version.file", echo.clone(), true),
            (
                &|f| f.tree.version = Err(Trouble { message: "empty".into(), hint: None }),
                "problem version.file",
                echo,
                true,
            ),
            (
                &|f| {
                    f.tree.version = Ok(version("v1.1.0"));
                    f.tree.head = Some(Ok(head("another")));
                },
                "problem version.file",
                install.clone(),
                false,
            ),
            (
                &|f| f.tree.tags = vec![version("v1.1.0")],
                "problem version.git",
                Some(
                    "xr install   # applies what the tree holds; to go back instead: xr install --version v1.0.0"
                        .into(),
                ),
                false,
            ),
            (&|f| f.settings.env = env("IMAGE_TAG=v0.9.0\n"), "problem version.env", set.clone(), true),
            (&|f| f.settings.env = env("A=1\n"), "problem version.env", set, true),
            (&|f| container(f, 0).image_id = "sha256:other".into(), "problem version.container", install, false),
            (&|f| f.history.current = Ok(None), "", None, false),
        ];
        for (change, word, command, fixed) in table {
            let found = bad(&changed(change));
            match word {
                "" => assert_eq!(found, []),
                word => assert_eq!(found, [(word.to_owned(), command, fixed)]),
            }
        }
    }

    #[test]
    fn the_same_content_under_another_id_is_the_same() {
        let facts = changed(|f| {
            container(f, 0).image_id = "sha256:moved".into();
            let mut image = image("sha256:moved", "acme/server:other");
            image.repo_digests = vec!["mirror.example/acme/server@sha256:digest-server".into()];
            f.images.as_mut().unwrap().push(image);
        });
        assert_eq!(bad(&facts), []);
    }

    #[test]
    fn a_stack_that_xr_did_not_install_should_agree_with_itself() {
        let facts = changed(|f| {
            f.history.current = Ok(None);
            f.settings.env = env("IMAGE_TAG=v0.9.0\n");
        });
        assert_eq!(bad(&facts), [("warning version.env".to_owned(), Some("xr install".to_owned()), false)]);
    }
}
