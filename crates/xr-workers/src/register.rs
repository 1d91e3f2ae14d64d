//! The list of workers in `.xr/site.toml`. The caller holds the lock.

use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result, Worker, exit};
use xr_session::Session;
use xr_stack::{WorkerList, unfit};

/// Adds a worker to the list.
///
/// # Errors
/// When the name is taken, or the name, destination or labels cannot be.
pub fn register(session: &Session<'_>, worker: &Worker) -> Result<()> {
    refuse_unfit(session, worker)?;
    change(session, worker)
}

/// Refuses a worker that cannot be added: nothing has been done yet.
///
/// # Errors
/// As [`register`].
pub(super) fn refuse_unfit(session: &Session<'_>, worker: &Worker) -> Result<()> {
    if let Some(why) = unfit(worker) {
        return Err(Fault::new(why).hint("xr worker add user@host --name NAME --label KEY=VALUE").code(exit::USAGE));
    }
    let taken = |other: &&Worker| other.name == worker.name && other.ssh != worker.ssh;
    if let Some(other) = session.site.workers.iter().find(taken) {
        return Err(Fault::new(format!("there is a worker `{}` already: {}", other.name, other.ssh))
            .hint(format!("xr worker add {} --name ANOTHER, or: xr worker remove {}", worker.ssh, other.name))
            .code(exit::USAGE));
    }
    if let Some(other) = session.site.workers.iter().find(|other| other.ssh == worker.ssh && other.name != worker.name)
    {
        return Err(Fault::new(format!("{} is a worker already: `{}`", other.ssh, other.name))
            .hint(format!("xr worker show {}", other.name))
            .code(exit::USAGE));
    }
    Ok(())
}

/// Puts a worker in the place of the one with its name.
///
/// # Errors
/// When the file cannot be read or written.
pub fn change(session: &Session<'_>, worker: &Worker) -> Result<()> {
    edit(session, |worker_list| worker_list.put(worker))
}

/// Takes a worker off the list.
///
/// # Errors
/// As [`change`].
pub fn forget(session: &Session<'_>, name: &str) -> Result<()> {
    edit(session, |worker_list| {
        worker_list.remove(name);
    })
}

fn edit(session: &Session<'_>, change: impl FnOnce(&mut WorkerList)) -> Result<()> {
    let path = session.home.site();
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(Fault::at(format!("cannot read {}", path.display())))?,
    };
    let mut worker_list = WorkerList::parse(&text)?;
    change(&mut worker_list);
    write_atomic(&path, worker_list.text().as_bytes(), 0o600, Ownership::Keep)
}
