//! What an install puts into `.env` beyond the template: flags, and on a terminal the questions that have no flag given.

use std::collections::BTreeMap;

use dialoguer::{Confirm, Input};
use xr_model::{Fault, Result, exit};
use xr_stack::{Database, Stack};

use crate::{commands::options::Install, context::Context, prompt};

/// Keys and values for `.env`.
///
/// # Errors
/// A flag that does not fit the product, or a question nobody can answer.
pub fn settings(context: &Context, stack: &Stack, args: &Install) -> Result<BTreeMap<String, String>> {
    let mut set = BTreeMap::new();
    let first = !stack.layout.env_path().exists();
    let ask = first && prompt::is_interactive() && !context.globals.yes && !args.run.dry_run;
    if ask {
        context.renderer.finish();
    }
    let host_key = stack.manifest.public_host.clone();
    if let Some(host) = &args.public_host {
        set.insert(host_key.unwrap_or_else(|| "PUBLIC_HOST".to_owned()), host.clone());
    } else if let (true, Some(key)) = (ask, host_key) {
        let host: String = text("Name or address under which others reach this host (empty: nobody does)", "")?;
        if !host.is_empty() {
            set.insert(key, host);
        }
    }
    match (&stack.manifest.database, &args.db_host) {
        (Some(keys), Some(host)) => set.extend(given(keys, host, args)?),
        (Some(keys), None) if ask && yes("Use a PostgreSQL outside of this stack?")? => set.extend(asked(keys)?),
        (None, Some(_)) => {
            return Err(Fault::new(
                "--db-host: this product's manifest has no [database], so xr does not know its keys",
            )
            .hint("xr env set KEY VALUE")
            .code(exit::USAGE));
        }
        _ => {}
    }
    Ok(set)
}

fn given(keys: &Database, host: &str, args: &Install) -> Result<Vec<(String, String)>> {
    let mut set = vec![(keys.host.clone(), host.to_owned())];
    let port = args.db_port.map(|port| port.to_string());
    let rest = [(&keys.port, port), (&keys.user, args.db_user.clone()), (&keys.name, args.db_name.clone())];
    set.extend(rest.into_iter().filter_map(|(key, value)| Some((key.clone(), value?))));
    let password = match (&args.db_password_file, std::env::var("XR_DB_PASSWORD")) {
        (Some(path), _) => std::fs::read_to_string(path)
            .map_err(Fault::at(format!("cannot read {}", path.display())))?
            .trim_end_matches(['\n', '\r'])
            .to_owned(),
        (None, Ok(password)) => password,
        (None, Err(_)) => {
            let hint = "set XR_DB_PASSWORD, or add --db-password-file FILE";
            prompt::secret(&format!("Password of the database user on {host}"), hint)?
        }
    };
    set.push((keys.password.clone(), password));
    Ok(set)
}

fn asked(keys: &Database) -> Result<Vec<(String, String)>> {
    Ok(vec![
        (keys.host.clone(), text("Host", "")?),
        (keys.port.clone(), text("Port", "5432")?),
        (keys.user.clone(), text("User", "postgres")?),
        (keys.password.clone(), prompt::secret("Password", "add --db-password-file FILE")?),
        (keys.name.clone(), text("Database", "postgres")?),
    ])
}

fn text(question: &str, default: &str) -> Result<String> {
    let input = Input::<String>::new().with_prompt(question).allow_empty(true);
    let input = if default.is_empty() { input } else { input.default(default.to_owned()) };
    input.interact_text().map_err(Fault::at("no answer"))
}

fn yes(question: &str) -> Result<bool> {
    Confirm::new().with_prompt(question).default(false).interact().map_err(Fault::at("no answer"))
}
