//! Secrets that belong together: a password under two names, the same inside an address, a key that tokens were signed with.

use std::ops::Range;

use super::Merged;
use crate::{EditError, EnvFile, Secret};

/// Words in the names of variables that open the same store of data, or of messages.
const STORES: [&str; 13] = [
    "DB",
    "DATABASE",
    "POSTGRES",
    "POSTGRESQL",
    "PG",
    "MYSQL",
    "MARIADB",
    "MONGO",
    "REDIS",
    "VALKEY",
    "CLICKHOUSE",
    "RABBITMQ",
    "AMQP",
];

/// The secrets that were made, each with the placeholder in whose place it stands.
#[derive(Debug, Default)]
pub(super) struct Together {
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    opens_a_store: bool,
    placeholder: String,
    secret: Secret,
}

impl Together {
    /// What was made for another name of the same password: that of a store of data, with the same placeholder.
    pub fn same_as(&self, key: &str, placeholder: &str) -> Option<Secret> {
        let same = |made: &&Made| made.opens_a_store && !placeholder.is_empty() && made.placeholder == placeholder;
        opens_a_store(key).then(|| self.made.iter().find(same)).flatten().map(|made| made.secret.clone())
    }

    pub fn note(&mut self, key: &str, placeholder: String, secret: Secret) {
        self.made.push(Made { opens_a_store: opens_a_store(key), placeholder, secret });
    }

    /// Puts each secret into the addresses (`scheme://user:password@host`, `host=… password=…`) that had its placeholder as their
    /// password. Where several have it, that of a store of data is meant; where none of them is one, the address is left and told.
    pub fn into_addresses(self, merged: &mut Merged) -> Result<(), EditError> {
        let keys: Vec<String> = merged.file.keys().into_iter().map(str::to_owned).collect();
        for key in keys.iter().filter(|key| !merged.generated.contains(key)) {
            let Some(value) = merged.file.get(key).map(|value| value.text.clone()) else { continue };
            let has = |made: &&Made| password_at(&value, &made.placeholder).is_some();
            let fits: Vec<&Made> = self.made.iter().filter(has).collect();
            let store = fits.iter().find(|made| made.opens_a_store);
            match (store, fits.as_slice()) {
                (Some(made), _) | (None, [made]) => {
                    let mut text = value;
                    while let Some(at) = password_at(&text, &made.placeholder) {
                        text.replace_range(at, made.secret.expose());
                    }
                    merged.file.set(key, &text)?;
                }
                (None, []) => {}
                (None, _) => merged.placeholders.push(key.clone()),
            }
        }
        Ok(())
    }
}

/// Where this text is the password of an address, in a URL or in the `key=value` form of
/// [libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING) and ADO.NET.
fn password_at(address: &str, password: &str) -> Option<Range<usize>> {
    let places = address.match_indices(password).filter(|_| !password.is_empty());
    let mut places = places.map(|(at, found)| at..at + found.len());
    places.find(|place| {
        let (before, after) = (address[..place.start].to_lowercase(), &address[place.end..]);
        let in_url = before.contains("://") && before.ends_with(':') && after.starts_with('@');
        let named = ["password=", "pwd=", "password='"].iter().any(|name| {
            let rest = before.strip_suffix(name);
            rest.is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        in_url || (named && (after.is_empty() || after.starts_with([' ', ';', '&', '\''])))
    })
}

fn opens_a_store(key: &str) -> bool {
    key.to_uppercase().split('_').any(|word| STORES.contains(&word))
}

/// Whether a file holds tokens (`eyJ…`, [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)) that this key may have signed: with
/// another one they would be worth nothing.
pub(super) fn has_signed(key: &str, file: &EnvFile) -> bool {
    let is_token = |text: &str| text.starts_with("eyJ") && text.matches('.').count() == 2;
    let signs = key.to_uppercase().split('_').any(|word| word == "JWT");
    signs && file.keys().into_iter().filter_map(|key| file.get(key)).any(|value| is_token(&value.text))
}
