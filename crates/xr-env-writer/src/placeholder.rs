//! Which variables want a secret of their own, and which values only stand where one should be.

/// Whether a value only says "put something here", or is a default that everybody knows. Empty is not a placeholder.
/// A path or a URL never is.
pub fn is_placeholder(value: &str) -> bool {
    let text = value.trim().to_lowercase();
    if text.is_empty() || text.starts_with('/') || text.contains("://") {
        return false;
    }
    let marked = [("<", ">"), ("{{", "}}"), ("__", "__")]
        .iter()
        .any(|(open, close)| text.len() > open.len() + close.len() && text.starts_with(open) && text.ends_with(close));
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let joined = words.join("-");
    let fill = |c: char| text.chars().filter(|x| *x != '-').count() >= 3 && text.chars().all(|x| x == c || x == '-');
    marked
        || ['x', '*', '.', '?'].into_iter().any(fill)
        || PHRASES.iter().any(|phrase| joined.contains(phrase))
        || words.first().is_some_and(|word| matches!(*word, "your" | "example" | "insert" | "todo" | "fixme"))
        || (!words.is_empty() && words.iter().all(|word| COMMON.contains(word)))
}

/// What is wrong with a secret's value that is nobody's secret, beside the template's value for it; none of one that may be.
pub fn known_to_all(value: &str, default: Option<&str>) -> Option<&'static str> {
    // Words for "there is none".
    const NONE: [&str; 8] = ["none", "null", "false", "no", "off", "disabled", "true", "0"];
    if is_placeholder(value) {
        return Some("is still a placeholder that everybody knows");
    }
    let chosen = value.is_empty() || value.contains('$') || NONE.contains(&value.to_lowercase().as_str());
    (!chosen && default == Some(value)).then_some("is the template's own value, which everybody knows")
}

/// Whether a variable with this name is surely to hold a secret, so that a placeholder in it is a fault:
/// `DB_PASSWORD`, not `PASSWORD_MIN_LENGTH` or `TOKEN_URL`. What is to be masked is asked of [`crate::must_be_masked`],
/// which knows more names: here a wrong yes would have a setting replaced by random text.
pub fn is_secret_key(key: &str) -> bool {
    let words = words(key);
    if words.iter().any(|word| SWITCHES.contains(&word.as_str())) {
        return false;
    }
    // What may follow the telling word and leave it a secret.
    let tail = |word: &String| TAILS.contains(&word.as_str()) || word.chars().all(|c| c.is_ascii_digit());
    let end = words.iter().rposition(|word| !tail(word)).map_or(0, |at| at + 1);
    let Some((last, before)) = words[..end].split_last() else { return false };
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "SECRETKEY"].iter().any(|end| last.ends_with(end))
        || (matches!(last.as_str(), "PWD" | "PASS") && !before.is_empty())
        || (last == "KEY" && before.last().is_some_and(|word| KINDS_OF_KEY.contains(&word.as_str())))
}

/// Whether a random text can serve as this secret. What somebody else issues (an API key, a token, a mail password) or
/// what has a form (a private key) cannot be invented here.
pub fn can_be_generated(key: &str) -> bool {
    let words = words(key);
    is_secret_key(key) && !words.iter().any(|word| ISSUED.contains(&word.as_str()))
}

fn words(key: &str) -> Vec<String> {
    key.to_uppercase().split(['_', '-', '.']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Telling phrases, with `-` for whatever stands between the words.
const PHRASES: [&str; 14] = [
    "changeme",
    "change-me",
    "change-this",
    "change-it",
    "replaceme",
    "replace-me",
    "replace-this",
    "replace-with",
    "django-insecure",
    "placeholder",
    "fill-me",
    "set-me",
    "to-be-set",
    "yourpassword",
];

/// A value made of these words alone is nobody's secret.
const COMMON: [&str; 40] = [
    "a",
    "admin",
    "api",
    "change",
    "changeit",
    "database",
    "db",
    "default",
    "dummy",
    "example",
    "foo",
    "guest",
    "here",
    "insecure",
    "jwt",
    "key",
    "long",
    "me",
    "my",
    "mysecret",
    "pass",
    "passwd",
    "password",
    "please",
    "postgres",
    "random",
    "root",
    "sample",
    "secret",
    "some",
    "string",
    "strong",
    "super",
    "supersecret",
    "tbd",
    "test",
    "the",
    "todo",
    "token",
    "value",
];

const TAILS: [&str; 9] = ["BASE", "VALUE", "NEW", "OLD", "PRIMARY", "SECONDARY", "PROD", "DEV", "BASE64"];

/// A name with one of these is a switch or a number, not a secret.
const SWITCHES: [&str; 14] = [
    "ALLOW", "ENABLE", "ENABLED", "DISABLE", "USE", "REQUIRE", "SHOW", "HAS", "MAX", "MIN", "NUM", "SKIP", "PUBLIC",
    "CSRF",
];

const KINDS_OF_KEY: [&str; 12] = [
    "API",
    "SECRET",
    "PRIVATE",
    "ACCESS",
    "ENCRYPTION",
    "SIGNING",
    "SESSION",
    "COOKIE",
    "MASTER",
    "JWT",
    "AUTH",
    "APP",
];

const ISSUED: [&str; 22] = [
    "API", "APIKEY", "TOKEN", "ACCESS", "PRIVATE", "CLIENT", "AWS", "S3", "SMTP", "MAIL", "EMAIL", "OAUTH", "OIDC",
    "LDAP", "GITHUB", "GITLAB", "GOOGLE", "OPENAI", "STRIPE", "SLACK", "REGISTRY", "REMOTE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_own_value_is_known_to_all_but_for_words_that_mean_none() {
        for (value, default, known) in [
            ("change-me", None, true),
            ("Kx9.com", Some("Kx9.com"), true),
            ("Kx9.com", Some("other"), false),
            ("none", Some("none"), false),
            ("", Some(""), false),
            ("${OTHER}", Some("${OTHER}"), false),
        ] {
            assert_eq!(known_to_all(value, default).is_some(), known, "{value}");
        }
    }

    #[test]
    fn placeholders_are_told_from_secrets() {
        for value in [
            "change-me",
            "changeme",
            "CHANGE_ME_IN_PRODUCTION",
            "please change me",
            "your-secret-key",
            "your_api_key",
            "<password>",
            "{{ secret }}",
            "xxx",
            "xxxx-xxxx",
            "***",
            "example",
            "django-insecure-abc123",
            "replace-me",
            "todo",
            "secret",
            "password",
            "admin",
            "postgres",
            "my_secret_key",
            "super-secret",
            "REPLACE_WITH_RANDOM_STRING",
            "supersecret",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        for value in [
            "",
            "4f9c1e0b7d2a",
            "hunter2",
            "S3cr3t!pw",
            "/run/secrets/db",
            "postgres://u:p@db/x",
            "30",
            "true",
            "correct-horse-battery",
            "Zm9vdG9kb2Jhcg==",
            "xX",
            "--",
            "my-dog-rex",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn secret_names_are_told_from_settings_about_secrets() {
        for key in [
            "DB_PASSWORD",
            "PGPASSWORD",
            "SECRET_KEY",
            "JWT_SECRET",
            "WORKER_API_KEY",
            "TOKEN",
            "SECRET_KEY_BASE",
            "REDIS_PASS",
            "db_passwd",
            "TLS_PRIVATE_KEY",
            "APP_KEY",
            "SESSION_KEY",
            "PASSWORD_2",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "TOKEN_EXPIRE_MINUTES",
            "PASSWORD_MIN_LENGTH",
            "DB_PASSWORD_FILE",
            "TOKEN_URL",
            "API_KEY_HEADER",
            "PUBLIC_KEY",
            "PWD",
            "MYSQL_ALLOW_EMPTY_PASSWORD",
            "MAX_TOKEN",
            "SECRETS_DIR",
            "KEY",
            "MONKEY",
            "AWS_ACCESS_KEY_ID",
            "COMPASS",
            "",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn what_others_issue_is_never_invented() {
        for (key, expect) in [
            ("DB_PASSWORD", true),
            ("SECRET_KEY", true),
            ("JWT_SECRET", true),
            ("OPENAI_API_KEY", false),
            ("SMTP_PASSWORD", false),
            ("GITHUB_TOKEN", false),
            ("TLS_PRIVATE_KEY", false),
            ("DB_HOST", false),
        ] {
            assert_eq!(can_be_generated(key), expect, "{key}");
        }
    }
}
