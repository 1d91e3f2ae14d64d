//! Lossless `.env`: parse, edit one value, merge with the template, generate secrets.
//!
//! What a file means is what `docker compose` reads in it (compose-go's `dotenv` and `template` packages), because
//! compose is the reader that counts. Every byte that nobody asked to change stays as it was.
//!
//! Pure: nothing here reads or writes a file, starts a program or prints.

mod database_key;
mod edit;
mod empty;
mod entry;
mod error;
mod escape;
mod file;
mod interpolate;
mod layout;
mod mask;
mod merge;
mod pitfall;
mod placeholder;
mod readers;
mod repair;
mod scan;
mod secret;
mod spell;

pub use database_key::opens_database;
pub use empty::{EmptySecret, empty_secrets};
pub use entry::{Duplicate, Entry, Quoting, Value};
pub use error::{EditError, ParseError, ParseErrorKind};
pub use file::EnvFile;
pub use interpolate::InterpolationError;
pub use mask::{must_be_masked, names_secret, secret_values};
pub use merge::{MergeRules, Merged, TemplateChange, from_template, merge};
pub use pitfall::{Pitfall, PitfallKind};
pub use placeholder::{can_be_generated, is_placeholder, is_secret_key, known_to_all};
pub use repair::Fix;
pub use secret::{Alphabet, Secret, SecretRule, random_hex};
