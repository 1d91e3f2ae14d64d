//! Changing the list of workers in `.xr/site.toml`: everything else in the file stays as the admin wrote it.

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use toml::Spanned;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};
use xr_model::{Fault, Result, Worker};

/// The text of `.xr/site.toml`, to be changed.
#[derive(Debug)]
pub struct WorkerList(DocumentMut);

impl WorkerList {
    /// Reads the text.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn parse(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(Fault::at("cannot read the list of workers"))
    }

    /// Adds a worker, or replaces the one with its name.
    pub fn put(&mut self, worker: &Worker) {
        let mut table = Table::new();
        table["name"] = value(&worker.name);
        table["ssh"] = value(&worker.ssh);
        if !worker.server.is_empty() {
            table["server"] = value(&worker.server);
        }
        if !worker.labels.is_empty() {
            let labels: InlineTable = worker.labels.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
            table["labels"] = value(labels);
        }
        if worker.drained {
            table["drained"] = value(true);
        }
        let workers = self.workers();
        let place = (0..workers.len()).find(|at| workers.get(*at).is_some_and(|one| is(one, &worker.name)));
        match place.and_then(|at| workers.get_mut(at)) {
            Some(present) => {
                // What the admin wrote before and beside it stays.
                let decor = present.decor().clone();
                *present = table;
                *present.decor_mut() = decor;
            }
            None => workers.push(table),
        }
    }

    /// Takes a worker out; false when there is none with this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let workers = self.workers();
        let place = (0..workers.len()).find(|at| workers.get(*at).is_some_and(|one| is(one, name)));
        if let Some(at) = place {
            workers.remove(at);
        }
        if self.workers().is_empty() {
            self.0.remove("workers");
        }
        place.is_some()
    }

    /// The text as it is now.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    fn workers(&mut self) -> &mut ArrayOfTables {
        let item = self.0.entry("workers").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        if !item.is_array_of_tables() {
            // `workers = [{…}]` says the same.
            *item = std::mem::take(item)
                .into_array_of_tables()
                .map_or_else(|_| Item::ArrayOfTables(ArrayOfTables::new()), Item::ArrayOfTables);
        }
        match item {
            Item::ArrayOfTables(workers) => workers,
            _ => unreachable!("it was made one"),
        }
    }
}

fn is(table: &Table, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// The host's name out of a destination, as a worker may be called.
pub fn name_of(ssh: &str) -> String {
    let rest = ssh.strip_prefix("ssh://").unwrap_or(ssh);
    let host = rest.rsplit('@').next().unwrap_or(rest);
    let bare =
        if host.starts_with('[') { host.trim_start_matches('[').split(']').next() } else { host.split(':').next() };
    bare.unwrap_or(host).chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// Refuses a list with a worker that cannot be, or with two of one name. `lines` are those on which they begin in the file.
///
/// # Errors
/// Names file and line.
pub(crate) fn refuse_odd(path: &Path, workers: &[Worker], lines: impl FnOnce() -> Vec<usize>) -> Result<()> {
    let mut names = BTreeSet::new();
    let odd = workers.iter().enumerate().find_map(|(at, worker)| {
        let doubled = || format!("two workers are called `{}`", worker.name);
        unfit(worker).or_else(|| (!names.insert(&worker.name)).then(doubled)).map(|why| (at, why))
    });
    let Some((at, why)) = odd else { return Ok(()) };
    let line = lines().get(at).copied().unwrap_or(1);
    let file = path.display();
    Err(Fault::new(format!("{file}:{line}: {why}")).hint(format!("edit {file}: every worker has a name of its own")))
}

/// The lines on which the `workers` of a TOML file begin.
pub(crate) fn worker_lines(text: &str) -> Vec<usize> {
    #[derive(Deserialize)]
    struct Spots {
        workers: Vec<Spanned<IgnoredAny>>,
    }
    let spots = toml::from_str::<Spots>(text).map(|spots| spots.workers).unwrap_or_default();
    let (mut line, mut from) = (1, 0);
    spots
        .iter()
        .map(|spot| {
            let start = spot.span().start;
            line += text.get(from..start).unwrap_or_default().matches('\n').count();
            from = start;
            line
        })
        .collect()
}

/// Why a worker cannot be called or reached so; none when it can.
pub fn unfit(worker: &Worker) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = &worker.name;
    if name.is_empty()
        || name.len() > 48
        || !name.chars().all(plain)
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Some(format!(
            "`{name}` is no name: 1 to 48 letters, digits, dots, dashes or underscores, a letter or digit first"
        ));
    }
    if name == "local" {
        return Some("`local` is this host itself".to_owned());
    }
    let ssh = &worker.ssh;
    if ssh.is_empty() || ssh.starts_with('-') || ssh.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some(format!("`{ssh}` is no destination of ssh: user@host, or a Host of ~/.ssh/config"));
    }
    let odd = worker.labels.iter().find(|(key, text)| {
        key.is_empty() || !key.chars().all(|c| plain(c) || c == '/') || text.chars().any(char::is_control)
    });
    odd.map(|(key, text)| format!("`{key}={text}` is no label: letters, digits, dots, dashes, slashes before the `=`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> Worker {
        Worker {
            name: name.to_owned(),
            ssh: format!("root@{name}.example.com"),
            server: String::new(),
            labels: [("zone".to_owned(), "eu".to_owned())].into(),
            drained: false,
        }
    }

    #[test]
    fn workers_come_and_go_and_what_the_admin_wrote_stays() {
        let before = "# ours\nchannel = \"dev\" # for now\n\n[network]\ntries = 3\n";
        let mut worker_list = WorkerList::parse(before).unwrap();
        worker_list.put(&worker("a"));
        worker_list.put(&worker("b"));
        worker_list.put(&Worker { drained: true, ..worker("a") });
        let text = worker_list.text();
        assert!(text.starts_with("# ours\nchannel = \"dev\" # for now\n"), "{text}");
        let read: crate::Site = toml::from_str(&text).unwrap();
        assert_eq!(read.workers, [Worker { drained: true, ..worker("a") }, worker("b")]);
        assert!(worker_list.remove("a") && worker_list.remove("b") && !worker_list.remove("c"));
        assert_eq!(worker_list.text().trim_end(), before.trim_end());
    }

    #[test]
    fn workers_written_in_one_line_are_understood() {
        let mut worker_list = WorkerList::parse("workers = [{ name = \"a\", ssh = \"a\" }]\n").unwrap();
        worker_list.put(&worker("b"));
        let read: crate::Site = toml::from_str(&worker_list.text()).unwrap();
        assert_eq!(read.workers.len(), 2);
    }

    #[test]
    fn names_and_destinations_that_would_be_taken_for_something_else_are_refused() {
        assert_eq!(unfit(&worker("w-1.eu")), None);
        for (name, ssh) in
            [("", "h"), ("-x", "h"), ("a b", "h"), ("local", "h"), ("a", "-oProxyCommand=x"), ("a", ""), ("a", "h h")]
        {
            let odd = Worker { name: name.to_owned(), ssh: ssh.to_owned(), ..worker("x") };
            assert!(unfit(&odd).is_some(), "{name} {ssh}");
        }
    }

    #[test]
    fn a_worker_is_called_like_its_host() {
        for (ssh, name) in [
            ("root@w1.example.com", "w1.example.com"),
            ("w1", "w1"),
            ("ssh://root@10.0.0.1:2222", "10.0.0.1"),
            ("root@[fd00::1]", "fd00--1"),
        ] {
            assert_eq!(name_of(ssh), name);
        }
    }
}
