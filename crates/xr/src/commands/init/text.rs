//! The text of a new `xr.toml`. Every key has its reason above it; `#key` is a suggestion, `# words` are words.

use std::fmt::Write;

use toml::Value;
use xr_stack::scan::ServiceLines;

use super::scan::DatabaseKeys;

/// What was found out about a product.
pub struct Findings {
    pub name: String,
    pub version_file: String,
    pub version_key: Option<String>,
    pub files: Vec<String>,
    pub dev_files: Vec<String>,
    pub env: String,
    pub template: Option<String>,
    /// The built-in preset that fits; it already says what follows from it.
    pub preset: Option<String>,
    pub services: Vec<ServiceLines>,
    pub database: Option<DatabaseKeys>,
    /// Secrets to generate, and secrets that may be issued elsewhere.
    pub secrets: (Vec<String>, Vec<String>),
}

/// The file.
pub fn render(found: &Findings) -> String {
    let mut text = String::new();
    head(&mut text, found);
    compose(&mut text, found);
    // What a preset says is not said again: a list here would take the place of the preset's.
    let off = if found.preset.is_some() { "#" } else { "" };
    if let Some(preset) = &found.preset {
        let _ = writeln!(
            text,
            "\n# The built-in preset that fits this compose file. It already holds what `#` suggests below.\npreset = {}",
            quoted(preset)
        );
        // A key of the top level stands before the first table.
        let at = text.find("\n# Where the version").unwrap_or(0);
        let preset = text.split_off(text.find("\n# The built-in").unwrap_or(text.len()));
        text.insert_str(at, &preset);
    }
    profiles(&mut text, found, off);
    secrets(&mut text, found, off);
    database(&mut text, found, off);
    rest(&mut text, found);
    text
}

fn head(text: &mut String, found: &Findings) {
    let _ = write!(
        text,
        "# What xr must know about this product. Every key has a default; docs/xr-toml.md explains all of them.\n\
         # Lines that begin with `#` and no space are suggestions: take the `#` away to use them.\n\
         \n\
         # The product's name, in messages.\n\
         name = {}\n\
         \n\
         # Where the version stands.\n\
         [version]\n\
         # The file that holds it, one line such as v1.2.3.\n\
         file = {}\n",
        quoted(&found.name),
        quoted(&found.version_file)
    );
    match &found.version_key {
        Some(key) => {
            let users: Vec<&str> = found
                .services
                .iter()
                .filter(|s| s.image.as_ref().is_some_and(|image| image.contains(key)))
                .map(|s| s.name.as_str())
                .collect();
            let _ = writeln!(
                text,
                "# The key of {} that the images take their tag from ({}).\nkey = {}",
                found.env,
                users.join(", "),
                quoted(key)
            );
        }
        None => {
            let _ = writeln!(
                text,
                "# No image takes its tag from a variable yet. Write `image: name:${{IMAGE_TAG:?}}` for the images you release.\n#key = \"IMAGE_TAG\""
            );
        }
    }
    let _ = writeln!(
        text,
        "# What an update follows: release tags when there are any (\"auto\"), only \"tags\", or the \"branch\".\n#follow = \"auto\""
    );
}

fn compose(text: &mut String, found: &Findings) {
    let _ = write!(
        text,
        "\n# Where compose's files stand, from this folder.\n[compose]\n# Production, in order.\nfiles = {}\n",
        list(&found.files)
    );
    if found.dev_files.is_empty() {
        let _ =
            writeln!(text, "# `xr install --dev`: images are built here.\n#dev_files = [\"docker-compose.dev.yml\"]");
    } else {
        let _ = writeln!(text, "# `xr install --dev`: images are built here.\ndev_files = {}", list(&found.dev_files));
    }
    let _ = writeln!(text, "# The admin's settings; never in git.\nenv = {}", quoted(&found.env));
    match &found.template {
        Some(template) => {
            let _ = writeln!(
                text,
                "# Its template; new keys reach every installation with an update.\ntemplate = {}",
                quoted(template)
            );
        }
        None => {
            let _ = writeln!(
                text,
                "# Its template: there is none yet. Keys in it reach every installation with an update.\n#template = \".env.example\""
            );
        }
    }
}

fn profiles(text: &mut String, found: &Findings, off: &str) {
    let with: Vec<&ServiceLines> = found.services.iter().filter(|s| !s.profiles.is_empty()).collect();
    if with.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n# Profiles that follow from a setting: on when the key has one of the values; \"\" stands for not set."
    );
    for service in with {
        for profile in &service.profiles {
            let image = service.image.as_deref().unwrap_or_default();
            let host = found.database.as_ref().filter(|_| image.contains("postgres")).map(|keys| keys.host.as_str());
            let off = if host.is_some() { off } else { "#" };
            let key = host.map_or_else(|| "SOME_KEY".to_owned(), str::to_owned);
            let values = ["", service.name.as_str(), "localhost", "127.0.0.1"].map(str::to_owned);
            let _ = writeln!(
                text,
                "{off}[[profiles]]\n{off}name = {}\n{off}key = {}\n{off}values = {}",
                quoted(profile),
                quoted(&key),
                list(&values)
            );
        }
    }
}

fn secrets(text: &mut String, found: &Findings, off: &str) {
    let (generate, perhaps) = &found.secrets;
    if generate.is_empty() && perhaps.is_empty() {
        return;
    }
    let _ =
        writeln!(text, "\n# Secrets that a first install makes, in hex digits. Not those that somebody else issues.");
    for (keys, off) in [(generate, off), (perhaps, "#")] {
        for key in keys {
            let length = if key.contains("PASS") { 32 } else { 64 };
            let _ = writeln!(text, "{off}[[secrets]]\n{off}key = {}\n{off}length = {length}", quoted(key));
        }
    }
}

fn database(text: &mut String, found: &Findings, off: &str) {
    let Some(keys) = &found.database else { return };
    let of_stack = found.services.iter().find(|s| s.image.as_ref().is_some_and(|image| image.contains("postgres")));
    let mut local = vec![String::new()];
    local.extend(of_stack.map(|service| service.name.clone()));
    local.extend(["localhost", "127.0.0.1"].map(str::to_owned));
    let _ = writeln!(
        text,
        "\n# The keys that name the PostgreSQL server: `xr install --db-host` sets them and asks the server first.\n{off}[database]"
    );
    let all = [
        ("host", &keys.host),
        ("port", &keys.port),
        ("user", &keys.user),
        ("password", &keys.password),
        ("name", &keys.name),
    ];
    for (role, key) in all {
        let _ = writeln!(text, "{off}{role} = {}", quoted(key));
    }
    let _ = writeln!(text, "# Hosts that mean the stack's own database.\n{off}local = {}", list(&local));
}

fn rest(text: &mut String, found: &Findings) {
    let service = found
        .services
        .iter()
        .find(|s| s.image.as_ref().zip(found.version_key.as_ref()).is_some_and(|(i, k)| i.contains(k.as_str())));
    let name = service.or(found.services.first()).map_or("server", |s| s.name.as_str());
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let (service, table) = (quoted(name), if bare { name.to_owned() } else { quoted(name) });
    let _ = write!(
        text,
        "\n# A program run in a service's new container once it is healthy: \"release\" each time, \"first-run\" once.\n\
         #[[hooks]]\n#name = \"migrate\"\n#when = \"release\"\n#service = {service}\n#command = [\"./manage\", \"migrate\"]\n\
         \n# What is asked after a switch, on the port that the service publishes.\n\
         #[[smoke]]\n#service = {service}\n#path = \"/\"\n#status = 200\n\
         \n# Whether the new container of a service may run beside the old for a moment: no gap, but both at once.\n\
         #[services.{table}]\n#beside = true\n\
         \n# How long everything must stay up before an update counts as a success.\n\
         #[health]\n#settle = \"10s\"\n\
         \n# How many generations and backups stay after an update.\n\
         #[keep]\n#generations = 5\n#backups = 5\n\
         \n# What the machine must have, in MiB.\n\
         #[requirements]\n#memory_mib = 512\n#disk_mib = 1024\n"
    );
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    Value::Array(texts.iter().cloned().map(Value::String).collect()).to_string()
}
