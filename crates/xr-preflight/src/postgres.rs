//! A PostgreSQL that is not part of the stack: is it reachable, does it let us in, is the database there?

use std::{fmt, time::Duration};

use tokio_postgres::{Client, Config, Error, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use xr_model::{Fault, Result, exit};

use crate::any_certificate;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
/// The database that is there on every server, to create others from.
const MAINTENANCE: &str = "postgres";

/// A password: it never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the password in.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The password itself, to be written into `.env`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where a database is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Host name, address, or the folder of a Unix socket.
    pub host: String,
    /// Usually 5432.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// The database.
    pub database: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresReport {
    /// As the server says it: `15.8 (Debian 15.8-0+deb12u1)`.
    pub server_version: String,
    /// The database was missing and has been made.
    pub created: bool,
    /// The role may create tables in schema `public`; without it the product's migrations will fail.
    pub may_create_tables: bool,
}

/// Connects, as the product will, by TLS where the server has it; with `create_missing`, makes a database that is not there.
///
/// # Errors
/// Host unreachable ([`exit::TRY_LATER`]), password wrong, database missing, no right to create it.
/// No message holds the password.
pub async fn check(target: &PostgresTarget, create_missing: bool) -> Result<PostgresReport> {
    let (client, created) =
        match connect(target, &target.database).await {
            Ok(client) => (client, false),
            Err(Refusal::Server(error)) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                if !create_missing {
                    return Err(Fault::new(format!("{target}: there is no database {:?}", target.database))
                        .hint(format!("createdb {} {}", arguments(target), target.database)));
                }
                create(target).await?;
                (connect(target, &target.database).await.map_err(|refusal| refusal.fault(target))?, true)
            }
            Err(refusal) => return Err(refusal.fault(target)),
        };
    let question = "select current_setting('server_version'), \
                    coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false)";
    let row = within(ANSWER, client.query_one(question, &[])).await.map_err(|refusal| refusal.fault(target))?;
    let read = |error: Error| Refusal::Server(error).fault(target);
    Ok(PostgresReport {
        server_version: row.try_get(0).map_err(read)?,
        created,
        may_create_tables: row.try_get(1).map_err(read)?,
    })
}

async fn create(target: &PostgresTarget) -> Result<()> {
    let client = connect(target, MAINTENANCE).await.map_err(|refusal| refusal.fault(target))?;
    let statement = format!("create database {}", quote(&target.database));
    match within(ANSWER, client.batch_execute(&statement)).await {
        Ok(()) => Ok(()),
        Err(Refusal::Server(error)) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        Err(Refusal::Server(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            let sql = format!("create database {} owner {}", quote(&target.database), quote(&target.user));
            Err(Fault::new(format!("{target}: {} may not create the database {:?}", target.user, target.database))
                .hint(format!("as the server's administrator: {sql};")))
        }
        Err(refusal) => Err(refusal.fault(target)),
    }
}

enum Refusal {
    Silent(Duration),
    Server(Error),
    Tls(rustls::Error),
}

async fn connect(target: &PostgresTarget, database: &str) -> std::result::Result<Client, Refusal> {
    let mut config = Config::new();
    config.host(&target.host).port(target.port).user(&target.user).dbname(database);
    config.password(&target.password.0).connect_timeout(CONNECT).application_name("xr");
    let tls = MakeRustlsConnect::new(any_certificate::client().map_err(Refusal::Tls)?);
    let (client, connection) = within(CONNECT, config.connect(tls)).await?;
    // Ends with the client; its error is the client's too.
    tokio::spawn(connection);
    Ok(client)
}

/// A server that took the connection may still never answer.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = std::result::Result<T, Error>>,
) -> std::result::Result<T, Refusal> {
    tokio::time::timeout(limit, answer).await.map_err(|_| Refusal::Silent(limit))?.map_err(Refusal::Server)
}

impl Refusal {
    fn fault(self, target: &PostgresTarget) -> Fault {
        let reach = format!("pg_isready -h {} -p {}", target.host, target.port);
        let error = match self {
            Self::Silent(limit) => {
                return Fault::new(format!("{target}: no answer within {} s", limit.as_secs()))
                    .code(exit::TRY_LATER)
                    .hint(reach);
            }
            Self::Tls(error) => return Fault::new(format!("{target}: no TLS")).because(error).hint(reach),
            Self::Server(error) => error,
        };
        let Some(said) = error.as_db_error() else {
            return Fault::new(format!("{target}: cannot be reached")).because(error).code(exit::TRY_LATER).hint(reach);
        };
        let fault = match *said.code() {
            SqlState::INVALID_PASSWORD => Fault::new(format!("{target}: wrong password for {}", target.user))
                .hint(format!("psql {} -d {}", arguments(target), target.database)),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Fault::new(format!("{target}: the server does not let {} in from here", target.user))
                    .hint("add this machine to the server's pg_hba.conf, then: select pg_reload_conf();")
            }
            _ => Fault::new(format!("{target}: the server refused")).hint(reach),
        };
        fault.because(said.to_string())
    }
}

fn arguments(target: &PostgresTarget) -> String {
    format!("-h {} -p {} -U {}", target.host, target.port, target.user)
}

/// An identifier as SQL wants it: quotes doubled.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Display for PostgresTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL at {}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_itself() {
        let target = PostgresTarget {
            host: "db".to_owned(),
            port: 5432,
            user: "app".to_owned(),
            password: Password::new("hunter2"),
            database: "app".to_owned(),
        };
        assert!(!format!("{target:?} {target}").contains("hunter2"));
    }

    #[test]
    fn identifiers_cannot_break_out_of_their_quotes() {
        assert_eq!(quote(r#"a"; drop database b; --"#), r#""a""; drop database b; --""#);
    }
}
