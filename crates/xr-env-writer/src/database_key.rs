//! Keys that a database was made with.

/// Whether a database that was made with one value of this key refuses another: what the manifest says, else the name.
pub fn opens_database(key: &str, named: Option<&str>) -> bool {
    const DATABASES: [&str; 8] = ["DB", "DATABASE", "POSTGRES", "POSTGRESQL", "PG", "MYSQL", "MARIADB", "MONGO"];
    let words: Vec<&str> = key.split('_').collect();
    let password = words.last().is_some_and(|word| word.starts_with("PASS") || word.ends_with("PASSWORD"));
    named == Some(key) || (password && words.iter().any(|word| DATABASES.contains(word) || word.starts_with("PGPASS")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_a_volume_was_made_with_are_known() {
        for (key, named, expect) in [
            ("DB_PASSWORD", None, true),
            ("POSTGRES_PASS", None, true),
            ("PGPASSWORD", None, true),
            ("MYSQL_ROOT_PASSWORD", None, true),
            ("STORE_SECRET", Some("STORE_SECRET"), true),
            ("STORE_SECRET", Some("DB_PASSWORD"), false),
            ("ADMIN_PASSWORD", None, false),
            ("DB_HOST", None, false),
        ] {
            assert_eq!(opens_database(key, named), expect, "{key}");
        }
    }
}
