//! What compose files tell about a product, read line by line: no Docker and no settings are needed.

use std::collections::BTreeMap;

/// A service as far as the scan sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLines {
    /// Its name.
    pub name: String,
    /// Its image, as written.
    pub image: Option<String>,
    /// Its profiles.
    pub profiles: Vec<String>,
}

/// The services of compose files, each once, in order. Knows the block style that compose files are written in.
pub fn services(text: &str) -> Vec<ServiceLines> {
    let mut found: Vec<ServiceLines> = Vec::new();
    let (mut inside, mut name_indent, mut in_profiles) = (false, None, false);
    for line in text.lines() {
        let bare = line.split(" #").next().unwrap_or_default().trim_end();
        let content = bare.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = bare.len() - content.len();
        if indent == 0 {
            inside = content == "services:";
            name_indent = None;
            continue;
        }
        if !inside {
            continue;
        }
        let own = *name_indent.get_or_insert(indent);
        if indent == own {
            in_profiles = false;
            if let Some(name) = content.strip_suffix(':') {
                let name = unquoted(name).to_owned();
                // A later file lies over the earlier one.
                if let Some(at) = found.iter().position(|s| s.name == name) {
                    let service = found.remove(at);
                    found.push(service);
                } else {
                    found.push(ServiceLines { name, ..ServiceLines::default() });
                }
            }
            continue;
        }
        let Some(service) = found.last_mut() else { continue };
        if let Some(profile) = content.strip_prefix("- ").filter(|_| in_profiles) {
            service.profiles.push(unquoted(profile).to_owned());
            continue;
        }
        in_profiles = content == "profiles:";
        if let Some(image) = content.strip_prefix("image:") {
            service.image = Some(unquoted(image.trim()).to_owned());
        } else if let Some(list) = content.strip_prefix("profiles:").and_then(|list| list.trim().strip_prefix('[')) {
            service.profiles = list.trim_end_matches(']').split(',').map(|p| unquoted(p.trim()).to_owned()).collect();
        }
    }
    found
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// The variable that stands where the tag of an image stands: `APP_VERSION` of `acme/app:${APP_VERSION:-latest}`.
fn tag_variable(image: &str) -> Option<&str> {
    let (_, tag) = image.rsplit_once(":$").or_else(|| image.rsplit_once(":v$"))?;
    let name = tag.trim_start_matches('{');
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    Some(&name[..end]).filter(|name| !name.is_empty())
}

/// The variable that the product's own images take their tag from: the one that most of them share.
///
/// An official image (`postgres`, without a namespace) is nobody's own, and `REDIS_VERSION` of `bitnami/redis` is redis's.
/// None when no image has such a variable, or several have a claim to it.
pub fn version_key(services: &[ServiceLines]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for image in services.iter().filter_map(|service| service.image.as_deref()) {
        if let Some(variable) = tag_variable(image).filter(|variable| !is_anothers(image, variable)) {
            *counts.entry(variable).or_default() += 1;
        }
    }
    // Of several equally frequent, the one that is no single program's.
    let rank = |name: &str| match name {
        "IMAGE_TAG" => 3,
        "APP_VERSION" | "APP_TAG" | "VERSION" | "TAG" => 2,
        name if name.starts_with("APP_") => 1,
        _ => 0,
    };
    let mut ranked: Vec<(usize, i32, &str)> = counts.iter().map(|(name, count)| (*count, rank(name), *name)).collect();
    ranked.sort_unstable();
    match ranked.as_slice() {
        [.., (count, rank, _), (most, best, _)] if (count, rank) == (most, best) => None,
        [.., (_, _, name)] => Some((*name).to_owned()),
        [] => None,
    }
}

fn is_anothers(image: &str, variable: &str) -> bool {
    let (name, _) = image.rsplit_once(":$").or_else(|| image.rsplit_once(":v$")).unwrap_or((image, ""));
    let program = name.rsplit('/').next().unwrap_or(name);
    let stem = ["_IMAGE_TAG", "_IMAGE_VERSION", "_VERSION", "_TAG"].iter().find_map(|end| variable.strip_suffix(end));
    !name.contains('/') || stem.is_some_and(|stem| stem.eq_ignore_ascii_case(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = "\
name: shop
services:
  db:
    image: \"postgres:15\"   # the database
    profiles: [\"local-db\", extra]
  # a comment
  web:
    build: .
    image: acme/web:${APP_VERSION:-latest}
    profiles:
      - one
      - 'two'
    ports:
      - 80:80
  worker:
    image: acme/worker:v${APP_VERSION}
volumes:
  db:
";

    #[test]
    fn services_images_and_profiles_are_found() {
        let found = services(COMPOSE);
        let names: Vec<_> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["db", "web", "worker"]);
        assert_eq!(found[0].image.as_deref(), Some("postgres:15"));
        assert_eq!(found[0].profiles, ["local-db", "extra"]);
        assert_eq!(found[1].profiles, ["one", "two"]);
    }

    #[test]
    fn the_version_key_is_the_tag_that_most_images_share() {
        assert_eq!(version_key(&services(COMPOSE)).as_deref(), Some("APP_VERSION"));
        let of = |images: &[&str]| {
            let service = |image: &&str| ServiceLines { image: Some((*image).to_owned()), ..ServiceLines::default() };
            version_key(&images.iter().map(service).collect::<Vec<_>>())
        };
        assert_eq!(of(&["postgres:${PG_VERSION:-15}", "a/b:$IMAGE_TAG"]).as_deref(), Some("IMAGE_TAG"));
        assert_eq!(of(&["${REGISTRY:-acme}/b:v1", "redis"]), None);
        assert_eq!(of(&["localhost:5000/${NAME}:${TAG:?set it}"]).as_deref(), Some("TAG"));
        assert_eq!(of(&["bitnami/redis:${REDIS_VERSION}", "postgres:$TAG"]), None);
        assert_eq!(of(&["acme/shop-web:$SHOP_VERSION", "acme/redis:${REDIS_TAG}"]).as_deref(), Some("SHOP_VERSION"));
        assert_eq!(of(&["acme/one:${ONE_WEB_VERSION}", "acme/two:${TWO_WEB_VERSION}"]), None);
    }
}
