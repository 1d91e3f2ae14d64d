//! What an env template tells about a product: its database and its secrets.

use xr_env_writer::{EnvFile, can_be_generated, is_placeholder, is_secret_key};

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

/// Secrets of a template that stand there as placeholders (to generate), and those that somebody else may issue: the empty
/// ones, and placeholders that say so by their name.
pub fn secrets(template: &EnvFile) -> (Vec<String>, Vec<String>) {
    let text = |key: &str| template.get(key).map(|value| value.text).unwrap_or_default();
    let open = |key: &&str| is_secret_key(key) && (text(key).is_empty() || is_placeholder(&text(key)));
    let keys = template.keys().into_iter().filter(open).map(str::to_owned);
    keys.partition(|key| !text(key).is_empty() && can_be_generated(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_its_database_and_its_secrets() {
        let template = EnvFile::parse(
            b"PG_HOST=db\nPG_PORT=5432\nPG_USER=u\nPG_PASSWORD=change-me\nPG_DATABASE=x\nSMTP_PASSWORD=\nN=1\n\
              OIDC_CLIENT_SECRET=change-me\n",
        )
        .unwrap();
        assert_eq!(database(&template).unwrap().name, "PG_DATABASE");
        let (make, issued) = secrets(&template);
        assert_eq!(
            (make.join(" ").as_str(), issued.join(" ").as_str()),
            ("PG_PASSWORD", "SMTP_PASSWORD OIDC_CLIENT_SECRET")
        );
        assert_eq!(database(&EnvFile::parse(b"DB_HOST=x\n").unwrap()), None);
    }
}
