//! Which values must not be shown. When in doubt a value is masked: that costs the admin one option, a shown secret
//! costs a new one. (Which secrets may be made up is another and stricter question: see `placeholder`.)

use crate::EnvFile;

/// Whether the value of this variable must not be shown to a bystander: by its name, or by what it looks like.
pub fn must_be_masked(key: &str, value: &str) -> bool {
    let text = value.trim();
    let plain = text.is_empty() || SWITCH_VALUES.contains(&text.to_lowercase().as_str());
    !plain && (names_secret(key) || looks_secret(text))
}

/// The values of a file that must not be shown, those of the `named` keys among them, and the passwords within them
/// (`postgres://user:password@host`).
pub fn secret_values(file: &EnvFile, named: &[&str]) -> Vec<String> {
    let mut secrets = Vec::new();
    for key in file.keys() {
        let secret = |text: &str| must_be_masked(key, text) || (named.contains(&key) && !text.is_empty());
        let Some(value) = file.get(key).filter(|value| secret(&value.text)) else { continue };
        let within = value.text.split("://").skip(1).filter_map(|rest| rest.split_once(':')?.1.rsplit_once('@'));
        secrets.extend(within.map(|(password, _)| password.to_owned()));
        secrets.push(value.text);
    }
    secrets
}

/// Whether a variable with this name may hold a secret: `DB_PASSWORD`, `PW`, `SENTRY_DSN`, not `PASSWORD_MIN_LENGTH`.
pub fn names_secret(key: &str) -> bool {
    let key = key.to_uppercase();
    let mut words: Vec<&str> = key.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    while words.len() > 1 && words.last().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
        words.pop();
    }
    let Some(last) = words.last() else { return false };
    if PROPERTIES.contains(last) || words.iter().any(|word| matches!(*word, "MIN" | "MAX" | "NUM")) {
        return false;
    }
    let public = |at: usize| at > 0 && words[at - 1] == "PUBLIC";
    let telling = |(at, word): (usize, &&str)| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        WORDS.contains(&word) && !(word == "KEY" && public(at)) || ENDINGS.iter().any(|end| word.ends_with(end))
    };
    *last == "COOKIE" || words.iter().enumerate().any(telling)
}

/// Whether a text is or carries a secret, whoever it belongs to.
fn looks_secret(text: &str) -> bool {
    // A password within an address may hold any character, so whatever follows up to a space is looked at.
    let address = |rest: &str| rest.split_whitespace().next().is_some_and(|address| address.contains('@'));
    let lower = text.to_lowercase();
    text.contains("-----BEGIN")
        || text.split("://").skip(1).any(address)
        || BEGINNINGS.iter().any(|begin| text.starts_with(begin))
        || ["bearer ", "basic "].iter().any(|scheme| lower.starts_with(scheme))
        || HOOKS.iter().any(|hook| lower.contains(hook))
        || names_within(text).any(names_secret)
}

/// The names in `a=1;b=2`, `?a=1&b=2` and `{"a": 1}`.
fn names_within(text: &str) -> impl Iterator<Item = &str> {
    let quote = ['"', '\''];
    let name = move |(at, sign): (usize, &str)| {
        let before = text[..at].trim_end();
        let quoted = before.ends_with(quote);
        if sign == ":" && !quoted {
            return None;
        }
        let before = before.trim_end_matches(quote);
        let begin = before
            .rfind(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        Some(&before[begin..]).filter(|name| !name.is_empty() && !text[at + 1..].trim().is_empty())
    };
    text.match_indices(['=', ':']).filter_map(name)
}

/// What switches say: no secret.
const SWITCH_VALUES: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "none", "null"];

/// A word of a name that tells of a secret.
const WORDS: [&str; 34] = [
    "APIKEY",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "DSN",
    "ENCRYPTION",
    "HMAC",
    "HTPASSWD",
    "JWT",
    "KEY",
    "KEYS",
    "OTP",
    "PASS",
    "PASSCODE",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORDS",
    "PAT",
    "PEPPER",
    "PIN",
    "PRIVATE",
    "PSK",
    "PSW",
    "PW",
    "PWD",
    "SALT",
    "SAS",
    "SECRET",
    "SECRETS",
    "SIGNING",
    "TOKEN",
    "TOKENS",
];

/// The same glued to another word: `PGPASSWORD`, `MYSECRET`.
const ENDINGS: [&str; 9] =
    ["PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "SECRET", "SECRETS", "TOKEN", "APIKEY", "SECRETKEY"];

/// A name that ends so tells something about a secret.
const PROPERTIES: [&str; 53] = [
    "AGE",
    "ALG",
    "ALGO",
    "ALGORITHM",
    "ALGORITHMS",
    "AUDIENCE",
    "BACKEND",
    "BITS",
    "COUNT",
    "DAYS",
    "DIR",
    "DIRECTORY",
    "DISABLED",
    "DOMAIN",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRE",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FOLDER",
    "FORMAT",
    "HEADER",
    "HOST",
    "HOURS",
    "INTERVAL",
    "ISSUER",
    "LEN",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "METHOD",
    "MINUTES",
    "MODE",
    "NAME",
    "PATH",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REGION",
    "REQUIRED",
    "ROUNDS",
    "SAMESITE",
    "SECONDS",
    "SIZE",
    "SUFFIX",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
];

/// How tokens begin whose issuers mark them.
const BEGINNINGS: [&str; 15] = [
    "AKIA",
    "ASIA",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "xoxb-",
    "xoxp-",
    "hvs.",
    "SG.",
];

/// Addresses that are secrets as a whole: whoever knows one may post there.
const HOOKS: [&str; 3] = ["://hooks.slack.com/", "/api/webhooks/", ".webhook.office.com/"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_values_that_must_not_be_shown_are_known_and_what_is_within_them() {
        let text =
            b"IMAGE_TAG=v1\nDB_PASSWORD='hun ter2'\nDATABASE_URL=postgres://u:p@ss@h/db\nDEBUG_TOKEN=true\nPIN=\n";
        let file = EnvFile::parse(text).unwrap();
        assert_eq!(secret_values(&file, &[]), ["hun ter2", "p@ss", "postgres://u:p@ss@h/db"]);
        assert_eq!(secret_values(&file, &["IMAGE_TAG", "PIN"])[0], "v1", "named by who wrote the stack");
    }

    #[test]
    fn secrets_are_masked_by_name_and_by_value() {
        for (key, value) in [
            ("DB_PASSWORD", "hunter2"),
            ("DATABASE_URL", "postgres://u:hunter2@h/db"),
            ("DATABASE_URL", "postgres://u:hun/ter#2@h/db"),
            ("CACHES", "redis://a:6379 redis://:hunter2@b:6379"),
            ("SENTRY_DSN", "https://abc@x/1"),
            ("ERRORS_TO", "https://abc@x/1"),
            ("PW", "hunter2"),
            ("REDIS_AUTH", "hunter2"),
            ("JWT", "hunter2"),
            ("ENCRYPTION_SALT", "hunter2"),
            ("PWD_DB", "hunter2"),
            ("PASSWORD2", "hunter2"),
            ("db.password", "hunter2"),
            ("PGPASSWORD", "hunter2"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("KEY", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"),
            ("TLS_MATERIAL", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"),
            ("GOOGLE_CREDENTIALS", "{}"),
            ("RABBITMQ_ERLANG_COOKIE", "hunter2"),
            ("CSRF_SECRET", "hunter2"),
            ("ADMIN_PIN", "1234"),
            ("LIBPQ", "host=db password=hunter2"),
            ("ADO", "Server=db;User=u;Password=hunter2;"),
            ("JDBC_URL", "jdbc:postgresql://h/db?user=u&password=hunter2"),
            ("ACCOUNTS", r#"{"user": "u", "api_key" : "hunter2"}"#),
            ("HTTP_HEADER", "Bearer hunter2"),
            ("GITHUB", "ghp_hunter2"),
            ("NOTIFY_URL", "https://hooks.slack.com/services/T/B/x"),
        ] {
            assert!(must_be_masked(key, value), "{key}={value}");
        }
    }

    #[test]
    fn settings_are_shown() {
        for (key, value) in [
            ("DB_HOST", "postgres"),
            ("PUBLIC_URL", "https://example.com/a?b=c"),
            ("SITE_TITLE", "Keys & tokens: all you need"),
            ("ADMIN_EMAIL", "admin@example.com"),
            ("PASSWORD_MIN_LENGTH", "12"),
            ("TOKEN_EXPIRE_MINUTES", "30"),
            ("TOKEN_URL", "https://id.example.com/token"),
            ("AUTH_PROVIDER", "ldap"),
            ("REDIS_AUTH", "true"),
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("API_KEY_HEADER", "X-Api-Key"),
            ("JWT_ALGORITHM", "HS256"),
            ("VAPID_PUBLIC_KEY", "BPk"),
            ("MAX_TOKENS", "4096"),
            ("KEYCLOAK_HOST", "id"),
            ("MONKEY", "x"),
            ("COMPASS", "n"),
            ("PATH_PREFIX", "/x"),
            ("COMPOSE_PROJECT_NAME", "orbit"),
            ("JAVA_OPTS", "-Xmx1g -Dport=80"),
            ("IMAGE", "ghcr.io/acme/x:v1"),
            ("", "x"),
        ] {
            assert!(!must_be_masked(key, value), "{key}={value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn a_password_in_an_address_is_masked_whatever_it_is_made_of(
            key in "[A-Z]{1,8}", user in "[a-z]{0,5}", password in "[!-~]{1,12}", before in "[ -~]{0,5}"
        ) {
            let value = format!("{before}postgres://{user}:{password}@host/db");
            prop_assert!(must_be_masked(&key, &value));
        }

        #[test]
        fn whatever_may_be_generated_is_masked(key in "[A-Z_]{0,20}(PASSWORD|SECRET|TOKEN|API_KEY|DB_PASS)(_2|_OLD)?") {
            if crate::is_secret_key(&key) {
                prop_assert!(must_be_masked(&key, "hunter2"), "{}", key);
            }
        }

        #[test]
        fn any_text_is_looked_at_without_a_panic(key in any::<String>(), value in any::<String>()) {
            let _ = must_be_masked(&key, &value);
        }
    }
}
