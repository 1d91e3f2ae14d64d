//! What compose files tell about a product, read line by line: no Docker and no settings are needed.

use std::collections::BTreeMap;

use xr_model::is_database;

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

/// What compose fetches from elsewhere while it reads this file, and the line: an `include`, or the `file` of an `extends`, that
/// is an OCI artifact or a git repository (`compose/v2/pkg/remote`).
pub fn fetched(text: &str) -> Option<(usize, &str)> {
    const ELSEWHERE: [&str; 6] = ["oci://", "https://", "http://", "ssh://", "git://", "github.com/"];
    let mut included = false;
    text.lines().zip(1..).find_map(|(line, number)| {
        if !line.starts_with([' ', '-', '#']) && !line.trim().is_empty() {
            included = line.starts_with("include:");
        }
        let words = line.split(|c: char| c.is_whitespace() || "\"'[]{},".contains(c));
        let words = words.filter(|word| !word.is_empty()).take_while(|word| !word.starts_with('#'));
        let mut after = "";
        let mut found = words.filter(|word| {
            let named = included || std::mem::replace(&mut after, word) == "file:";
            let by_ssh = word.split_once('@').is_some_and(|(_, rest)| rest.contains(':'));
            named && (by_ssh || ELSEWHERE.iter().any(|begin| word.starts_with(begin)))
        });
        found.next().map(|word| (number, word))
    })
}

/// Images as written, wherever a compose file has one: of services, behind an anchor, in an `x-` field, in block or flow style.
fn images(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    let mut found = Vec::new();
    for line in lines {
        for (at, _) in line.match_indices("image") {
            let alone = line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "{,\"'".contains(c));
            let rest = line[at + "image".len()..].trim_start_matches(['"', '\'']);
            if let Some(value) = rest.strip_prefix(':').filter(|_| alone) {
                found.extend(scalar(value));
            }
        }
    }
    found
}

/// The scalar that `text` begins with, without its anchor and its quotes. None when it is an alias or nothing.
fn scalar(text: &str) -> Option<&str> {
    let mut text = text.trim_start();
    if text.starts_with('&') {
        text = text.split_once(' ')?.1.trim_start();
    }
    let scalar = match text.chars().next()? {
        '*' => return None,
        quote @ ('"' | '\'') => text[1..].split(quote).next()?,
        _ => &text[..after_braces(text, |c| c.is_whitespace() || c == ',' || c == '}').unwrap_or(text.len())],
    };
    Some(scalar).filter(|scalar| !scalar.is_empty())
}

/// Where the first character that `wanted` accepts stands in `text` outside `${…}`.
fn after_braces(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' if depth > 0 => depth -= 1,
            c if depth == 0 && wanted(c) => return Some(at),
            _ => {}
        }
        None
    })
}

/// What stands for `${X:-default}` or `${X-default}` when nobody sets the variable; none of any other text.
fn default_of(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    let (name, default) = inner.split_once('-')?;
    let whole = after_braces(text, |c| c != '$').is_none();
    Some(default).filter(|_| whole && !name.contains(['$', '{', '}']))
}

/// An image's name and the variable in its tag: `acme/app` and `APP_VERSION` of `acme/app:alpine-${APP_VERSION:-latest}`.
fn tag_variable(image: &str) -> Option<(&str, &str)> {
    if let Some(default) = default_of(image) {
        return tag_variable(default);
    }
    let image = after_braces(image, |c| c == '@').map_or(image, |digest| &image[..digest]);
    let (mut name, mut tag) = (image, None);
    let mut from = 0;
    while let Some(at) = after_braces(&image[from..], |c| c == ':').map(|at| from + at) {
        (name, tag) = (&image[..at], Some(&image[at + 1..]));
        from = at + 1;
    }
    // The port of a registry is none, nor is a variable behind a version that is written out.
    let (before, variable) = tag.filter(|tag| !tag.contains('/'))?.split_once('$')?;
    let variable = variable.trim_start_matches('{');
    let end = variable.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(variable.len());
    let versioned = !before.contains(|c: char| c.is_ascii_digit());
    Some((default_of(name).unwrap_or(name), &variable[..end])).filter(|(_, variable)| versioned && !variable.is_empty())
}

/// The variable that the product's own images take their tag from, of all that compose files say: the one that most of them
/// share.
///
/// An official image (`postgres`, without a namespace) is nobody's own, and `REDIS_VERSION` of `bitnami/redis` is redis's.
/// One whose name is a variable too counts where no other has a tag like that. None when no image has such a variable, or
/// several have a claim to it.
pub fn version_key(text: &str) -> Option<String> {
    let images = images(text).into_iter().filter_map(tag_variable);
    let (unknown, known): (Vec<_>, Vec<_>) =
        images.filter(|(name, variable)| !is_anothers(name, variable)).partition(|(name, _)| is_unknown(name));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, variable) in if known.is_empty() { unknown } else { known } {
        *counts.entry(variable).or_default() += 1;
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

/// Whether a name is a variable, of which nothing else is known.
fn is_unknown(name: &str) -> bool {
    name.starts_with('$') && !name.contains('/')
}

fn is_anothers(name: &str, variable: &str) -> bool {
    let program = name.rsplit('/').next().unwrap_or(name).replace(['-', '.'], "_");
    let stem = ["_IMAGE_TAG", "_IMAGE_VERSION", "_VERSION", "_TAG"].iter().find_map(|end| variable.strip_suffix(end));
    let of = |stem: &str| stem.eq_ignore_ascii_case(&program) || is_database(&stem.to_lowercase());
    (!name.contains('/') && !is_unknown(name)) || stem.is_some_and(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_fetches_from_elsewhere_is_found_and_an_address_of_another_kind_is_not() {
        for (text, expect) in [
            ("include:\n  - oci://docker.io/acme/app:v1\n", Some((2, "oci://docker.io/acme/app:v1"))),
            (
                "include:\n  # ours\n  - path: [\"git@github.com:acme/app.git\"]\n",
                Some((3, "git@github.com:acme/app.git")),
            ),
            ("include: [https://github.com/acme/app.git#v1]\n", Some((1, "https://github.com/acme/app.git#v1"))),
            ("services:\n  web:\n    extends: {file: oci://acme/base, service: web}\n", Some((3, "oci://acme/base"))),
            ("services:\n  web:\n    extends:\n      file: \"github.com/acme/x\"\n", Some((4, "github.com/acme/x"))),
            ("include:\n- web.yaml # not https://x\nservices:\n  web:\n    environment: {URL: https://x}\n", None),
            ("x-file: https://x\nconfigs: {a: {file: ./a}}\n", None),
        ] {
            assert_eq!(fetched(text), expect, "{text}");
        }
    }

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
        assert_eq!(version_key(COMPOSE).as_deref(), Some("APP_VERSION"));
        let of = |images: &[&str]| {
            let block: String = images.iter().map(|image| format!("    image: {image}\n")).collect();
            let flow: String =
                images.iter().map(|image| format!("  a: {{image: \"{image}\", restart: no}}\n")).collect();
            let bare: String =
                images.iter().map(|image| format!("  \"a\": {{restart: no, 'image': {image}}}\n")).collect();
            let key = version_key(&block);
            assert_eq!((&version_key(&flow), &version_key(&bare)), (&key, &key));
            key
        };
        assert_eq!(of(&["postgres:${PG_VERSION:-15}", "a/b:$IMAGE_TAG"]).as_deref(), Some("IMAGE_TAG"));
        assert_eq!(of(&["${REGISTRY:-acme}/b:v1", "redis"]), None);
        assert_eq!(of(&["localhost:5000/${NAME}:${TAG:?set it}"]).as_deref(), Some("TAG"));
        assert_eq!(of(&["bitnami/redis:${REDIS_VERSION}", "postgres:$TAG"]), None);
        assert_eq!(of(&["acme/shop-web:$SHOP_VERSION", "acme/redis:${REDIS_TAG}"]).as_deref(), Some("SHOP_VERSION"));
        assert_eq!(of(&["acme/one:${ONE_WEB_VERSION}", "acme/two:${TWO_WEB_VERSION}"]), None);
        assert_eq!(of(&["$REPO:$TAG", "localhost:${PORT}/acme/web"]).as_deref(), Some("TAG"));
        assert_eq!(of(&["${REPO:-acme/web}:alpine-${WEB_RELEASE:-v1}"]).as_deref(), Some("WEB_RELEASE"));
        assert_eq!(of(&["${WEB_IMAGE:-acme/web:${WEB_RELEASE:-v1}}"]).as_deref(), Some("WEB_RELEASE"));
        assert_eq!(of(&["acme/web:${WEB_RELEASE}@sha256:0a1b"]).as_deref(), Some("WEB_RELEASE"));
        assert_eq!(of(&["acme/web:v1.2.0", "${PG_IMAGE:-postgres}:${PG_VERSION:-16}"]), None);
        assert_eq!(of(&["$POSTGRES_IMAGE:$POSTGRES_VERSION", "prom/node-exporter:${NODE_EXPORTER_VERSION}"]), None);
        assert_eq!(of(&["acme/web:$RELEASE", "$REPO:$TAG"]).as_deref(), Some("RELEASE"));
        assert_eq!(of(&["acme/web:v2.1.0${SUFFIX:-}", "acme/job:1.4-${ARCH}"]), None);
    }

    #[test]
    fn images_behind_an_anchor_or_in_a_field_of_the_publishers_count() {
        let text = "x-app: &app\n  image: &image acme/web:${RELEASE}\n\
                    services:\n  web: {<<: *app}\n  job:\n    image: *image\n    # image: acme/old:$OLD\n";
        assert_eq!(images(text), ["acme/web:${RELEASE}"]);
        assert_eq!(version_key(text).as_deref(), Some("RELEASE"));
        assert_eq!(images("    image:\n    image: ''\n    my_image: a/b:$C\n    images: a/b:$C\n"), [""; 0]);
    }
}
