//! Does `.env` have the keys it should, with values of its own?

use xr_env_writer::{EnvFile, empty_secrets, is_secret_key, known_to_all};
use xr_release::settings::unread;

use crate::{facts::Facts, finding::Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(env) = facts.env() else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(template) = &facts.settings.template {
        found.extend(missing(facts, env, template));
        found.extend(obsolete(facts, env, template));
    }
    found.extend(unread_keys(facts, env));
    found.extend(placeholders(facts, env));
    found.extend(empty(facts, env));
    if found.is_empty() {
        found.push(Finding::info(
            "env.keys",
            facts.env_name(),
            "has every key of its template, and secrets of its own",
        ));
    }
    found
}

fn missing(facts: &Facts, env: &EnvFile, template: &EnvFile) -> Vec<Finding> {
    let name = facts.env_name();
    let lacks = template.keys().into_iter().filter(|key| !env.contains(key) && **key != facts.manifest.version.key);
    lacks
        .map(|key| match &facts.settings.applied_template {
            // It was there when this generation was made, so it was left out on purpose.
            Some(applied) if applied.contains(key) => {
                let evidence =
                    format!("{key} is in the template and was left out here; the compose file's default holds");
                Finding::info("env.missing-key", name, evidence).command(format!("xr env set {key} VALUE"))
            }
            _ => Finding::warning("env.missing-key", name, format!("{key} is in the template and not here"))
                .command("xr install"),
        })
        .collect()
}

fn obsolete(facts: &Facts, env: &EnvFile, template: &EnvFile) -> Vec<Finding> {
    let name = facts.env_name();
    let gone = env.keys().into_iter().filter(|key| facts.settings.known_keys.contains(*key) && !template.contains(key));
    gone.map(|key| {
        let line = env.get(key).map_or(0, |value| value.line);
        Finding::info(
            "env.obsolete-key",
            format!("{name}:{line}"),
            format!("{key} was in an older template and is in none now"),
        )
        .command(format!("sed -i '/^{key}=/d' {}", xr_model::shell(&facts.env_path())))
    })
    .collect()
}

/// Those of an older template are told as such.
fn unread_keys(facts: &Facts, env: &EnvFile) -> Vec<Finding> {
    let settings = &facts.settings;
    let unread = unread(env, facts.env_name(), settings.template.as_ref(), &facts.manifest, &settings.compose);
    let unread = unread.into_iter().filter(|key| !settings.known_keys.contains(key));
    unread
        .map(|key| {
            let line = env.get(&key).map_or(0, |value| value.line);
            let evidence = format!("{key} is named by no file of this version: it is another one's, or mistyped");
            Finding::info("env.unread-key", format!("{}:{line}", facts.env_name()), evidence)
                .command(format!("grep -n {key} {}", xr_model::shell(&facts.env_path())))
        })
        .collect()
}

/// Empty secrets that no rule asks for: theirs may be a service that asks for none, so it is said and left.
fn empty(facts: &Facts, env: &EnvFile) -> Vec<Finding> {
    let name = facts.env_name();
    let ruled = |key: &str| facts.manifest.secrets.iter().any(|rule| rule.key == key);
    let (issued, own): (Vec<_>, Vec<_>) =
        empty_secrets(env).into_iter().filter(|one| !ruled(&one.key)).partition(|one| one.issued);
    let mut found: Vec<Finding> = own
        .iter()
        .map(|one| {
            let evidence = format!("{} is empty: right only where nothing asks for it", one.key);
            Finding::warning("env.empty-secret", format!("{name}:{}", one.line), evidence)
                .command(format!("xr env set {} --stdin && xr restart", one.key))
        })
        .collect();
    if let Some(first) = issued.first() {
        let keys: Vec<&str> = issued.iter().map(|one| one.key.as_str()).collect();
        let evidence = format!("empty, to be filled in where they are used: {}", keys.join(", "));
        found.push(
            Finding::info("env.empty-secret", name, evidence)
                .command(format!("xr env set {} --stdin && xr restart", first.key)),
        );
    }
    found
}

fn placeholders(facts: &Facts, env: &EnvFile) -> Vec<Finding> {
    let name = facts.env_name();
    let ruled = |key: &str| facts.manifest.secrets.iter().find(|rule| rule.key == key);
    let database = facts.manifest.database.as_ref().map(|keys| keys.password.as_str());
    let mut found = Vec::new();
    for key in env.keys().into_iter().filter(|key| ruled(key).is_some() || is_secret_key(key)) {
        let Some(value) = env.get(key) else { continue };
        let empty = value.text.is_empty() && ruled(key).is_some();
        let default =
            facts.settings.template.as_ref().and_then(|template| template.get(key)).map(|default| default.text);
        let known = known_to_all(&value.text, default.as_deref());
        let Some(what) = (if empty { Some("is empty") } else { known }) else { continue };
        let subject = format!("{name}:{}", value.line);
        let digits = ruled(key).map_or(64, |rule| rule.length);
        // Through a pipe: arguments can be read by every user.
        let new = format!("openssl rand -hex {} | xr env set {key} --stdin && xr install", digits / 2);
        found.push(if xr_env_writer::opens_database(key, database) {
            // The volume was made with it: a new value alone locks the product out.
            let evidence = format!("{key} {what}; the database was made with it, so change it there first");
            let user = facts
                .manifest
                .database
                .as_ref()
                .and_then(|keys| env.get(&keys.user))
                .map_or("USER".to_owned(), |v| v.text);
            Finding::warning("env.placeholder", subject, evidence).command(format!(
                "in the database: ALTER USER {user} PASSWORD '…'; then xr env set {key} --stdin && xr install"
            ))
        } else {
            Finding::warning("env.placeholder", subject, format!("{key} {what}")).command(new)
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use xr_stack::{Database, SecretKey};

    #[test]
    fn keys_are_compared_with_both_templates() {
        for (text, applied, template, expect) in [
            ("A=1\n", "A=\n", "A=\n", "ok env.keys"),
            ("A=1\n", "A=\n", "A=\nB=\n", "warning env.missing-key"),
            ("A=1\n", "A=\nB=\n", "A=\nB=\n", "note env.missing-key"),
            ("A=1\nB=2\n", "A=\n", "A=\n", "ok env.keys"),
            ("A=1\nOLD=2\n", "A=\n", "A=\n", "note env.obsolete-key"),
            ("A=1\n", "A=\n", "A=\nIMAGE_TAG=\n", "ok env.keys"),
        ] {
            let facts = changed(|f| {
                f.settings.env = env(text);
                f.settings.applied_template = env(applied).unwrap();
                f.settings.template = env(template).unwrap();
                f.settings.known_keys = ["A".to_owned(), "OLD".to_owned()].into();
            });
            assert_eq!(words(&check(&facts)), [expect], "{text:?}");
        }
    }

    #[test]
    fn a_key_that_no_file_of_the_version_reads_is_told_unless_a_service_gets_the_whole_file() {
        for (compose, expect) in [
            ("image: acme/orbit:${IMAGE_TAG}", "note env.unread-key"),
            ("source: ${OLD_DIR:-/srv}", "ok env.keys"),
            ("env_file: .env", "ok env.keys"),
            ("env_file:\n  - path: ./.env\n    required: false", "ok env.keys"),
            ("volumes: ['./.env:/app/.env:ro']", "ok env.keys"),
            ("env_file: [app.env, '${MORE}.env']", "ok env.keys"),
            ("env_file:\n  - app.env\nimage: acme/orbit:${IMAGE_TAG}", "note env.unread-key"),
        ] {
            let facts = changed(|f| {
                f.settings.env = env("IMAGE_TAG=v1\nCOMPOSE_PROFILES=x\nOLD_DIR=/srv/old\n");
                compose.clone_into(&mut f.settings.compose);
            });
            assert_eq!(words(&check(&facts)), [expect], "{compose:?}");
        }
    }

    #[test]
    fn placeholders_are_told_for_secrets_alone_and_never_shown() {
        for (text, expect) in [
            ("SECRET_KEY=insecure-change-me\n", "warning env.placeholder"),
            ("WORKER_API_KEY=\n", "warning env.placeholder"),
            ("OTHER_TOKEN=\n", "note env.empty-secret"),
            ("PASSWORD=\n", "warning env.empty-secret"),
            ("DB_PASSWORD=''\n", "warning env.empty-secret"),
            ("USERNAME=admin\n", "ok env.keys"),
            ("SECRET_KEY=4f9c1e0b7d2a\n", "ok env.keys"),
        ] {
            let facts = changed(|f| {
                f.settings.env = env(text);
                f.manifest.secrets = vec![SecretKey { key: "WORKER_API_KEY".into(), length: 64 }];
            });
            let found = check(&facts);
            assert_eq!(words(&found), [expect], "{text:?}");
            assert!(!format!("{found:?}").contains("insecure"));
            // No command puts a secret into arguments.
            assert!(found.iter().filter_map(|one| one.command.as_ref()).all(|command| command.contains(" --stdin")));
        }
    }

    #[test]
    fn the_database_password_is_not_simply_replaced() {
        let key = |name: &str| name.to_owned();
        let facts = changed(|f| {
            f.settings.env = env("DB_USER=orbit\nDB_PASSWORD=change-me\n");
            f.manifest.database = Some(Database {
                host: key("DB_HOST"),
                port: key("DB_PORT"),
                user: key("DB_USER"),
                password: key("DB_PASSWORD"),
                name: key("DB_NAME"),
                local: vec![],
            });
        });
        assert!(check(&facts)[0].command.as_ref().unwrap().contains("ALTER USER orbit"));
    }
}
