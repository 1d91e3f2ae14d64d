//! What a compose file and an env template tell about a product, read line by line: no Docker and no settings are needed.

use std::collections::BTreeMap;

use xr_env_writer::{EnvFile, is_placeholder, is_secret_key};

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

/// The variable that most images take their tag from.
pub fn version_key(services: &[ServiceLines]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for variable in services.iter().filter_map(|s| tag_variable(s.image.as_deref()?)) {
        *counts.entry(variable).or_default() += 1;
    }
    // Of several equally frequent, the one that is no single program's.
    let rank = |name: &str| (name == "IMAGE_TAG", name.starts_with("APP_") || name == "VERSION" || name == "TAG");
    counts.into_iter().max_by_key(|(name, count)| (*count, rank(name))).map(|(name, _)| name.to_owned())
}

/// The keys that name a PostgreSQL server, when the template has them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseKeys {
    pub host: String,
    pub port: String,
    pub user: String,
    pub password: String,
    pub name: String,
}

/// Finds the database's keys in a template.
pub fn database(template: &EnvFile) -> Option<DatabaseKeys> {
    let keys = template.keys();
    ["DB", "POSTGRES", "POSTGRESQL", "DATABASE", "PG"].into_iter().find_map(|prefix| {
        let find = |endings: &[&str]| {
            endings.iter().map(|end| format!("{prefix}_{end}")).find(|key| keys.contains(&key.as_str()))
        };
        Some(DatabaseKeys {
            host: find(&["HOST"])?,
            port: find(&["PORT"])?,
            user: find(&["USER", "USERNAME"])?,
            password: find(&["PASSWORD", "PASS"])?,
            name: find(&["NAME", "DB", "DATABASE"])?,
        })
    })
}

/// Secrets of a template that stand there as placeholders (to generate), and those that are empty (perhaps issued elsewhere).
pub fn secrets(template: &EnvFile) -> (Vec<String>, Vec<String>) {
    let text = |key: &str| template.get(key).map(|value| value.text).unwrap_or_default();
    let keys = template.keys().into_iter().filter(|key| is_secret_key(key));
    let (placeholders, rest): (Vec<&str>, Vec<&str>) = keys.partition(|key| is_placeholder(&text(key)));
    let own = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
    (own(placeholders), own(rest.into_iter().filter(|key| text(key).is_empty()).collect()))
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
    }

    #[test]
    fn a_template_tells_its_database_and_its_secrets() {
        let template = EnvFile::parse(
            b"PG_HOST=db\nPG_PORT=5432\nPG_USER=u\nPG_PASSWORD=change-me\nPG_DATABASE=x\nSMTP_PASSWORD=\nN=1\n",
        )
        .unwrap();
        assert_eq!(database(&template).unwrap().name, "PG_DATABASE");
        assert_eq!(secrets(&template), (vec!["PG_PASSWORD".to_owned()], vec!["SMTP_PASSWORD".to_owned()]));
        assert_eq!(database(&EnvFile::parse(b"DB_HOST=x\n").unwrap()), None);
    }
}
