//! The dumps in `.xr/backups/`: `<run>-<time>-g<generation>-<service>@<backup>`, each with its SHA-256 beside it as `sha256sum`
//! writes it. Before runs had numbers the names began with the time; before each service had its own they did not tell it.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use jiff::civil::DateTime;
use sha2::{Digest as _, Sha256};
use xr_journal::{Ownership, run_order, write_atomic};
use xr_model::{Fault, Result};
use xr_session::{Cancel, Session, now};
use xr_stack::Backup;

/// The ending of the file that holds a dump's digest.
pub(crate) const SUM: &str = ".sha256";
/// The ending of a dump that is not whole yet.
pub(crate) const HALF: &str = ".part";
/// How far from its end the mark of a complete dump may stand.
const TAIL: u64 = 4096;

/// A dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dump {
    /// The file.
    pub path: PathBuf,
    /// Its name.
    pub file: String,
    /// When it was taken, in UTC.
    pub taken: DateTime,
    /// The generation that served then.
    pub generation: u32,
    /// The service whose data it holds; none where the name does not tell.
    pub service: Option<String>,
    /// Which of the manifest's backups it is.
    pub backup: String,
    /// Its bytes.
    pub size: u64,
}

impl Dump {
    /// What a file's name says; none when it is no whole dump.
    pub(crate) fn of(path: &Path, size: u64) -> Option<Self> {
        let file = path.file_name()?.to_str()?.to_owned();
        let named = match run_order(&file).0 {
            Some(_) => file.split_once('-')?.1,
            None => &file,
        };
        let mut parts = named.splitn(3, '-');
        let taken = DateTime::strptime("%Y%m%dT%H%M%S", parts.next()?).ok()?;
        let generation = parts.next()?.strip_prefix('g')?.parse().ok()?;
        let rest = parts.next()?;
        let (service, backup) = match rest.split_once('@') {
            Some((service, backup)) => (Some(service.to_owned()), backup.to_owned()),
            None => (None, rest.to_owned()),
        };
        let whole = !backup.ends_with(HALF) && !backup.ends_with(SUM);
        whole.then(|| Self { path: path.to_owned(), file, taken, generation, service, backup, size })
    }

    /// Where its digest is.
    fn sum(&self) -> PathBuf {
        sum_of(&self.path)
    }
}

/// Where the digest of the dump at `path` is.
pub(crate) fn sum_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUM);
    PathBuf::from(name)
}

/// The path of a dump that `run` takes now, while `generation` serves.
pub(crate) fn path_of_new(session: &Session<'_>, run: &str, generation: u32, service: &str, backup: &str) -> PathBuf {
    let stamp: String = now().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    // The run's number first: the newest backup is that of the newest run, whatever the clock says.
    let number = run.split('-').next().unwrap_or_default();
    session.home.backups().join(format!("{number}-{stamp}-g{generation}-{service}@{backup}"))
}

/// All whole dumps, oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn all(folder: &Path) -> Result<Vec<Dump>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Fault::at(unreadable()))?,
    };
    let mut dumps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Fault::at(unreadable()))?;
        let meta = entry.metadata().map_err(Fault::at(unreadable()))?;
        dumps.extend(meta.is_file().then(|| Dump::of(&entry.path(), meta.len())).flatten());
    }
    dumps.sort_by(|a, b| run_order(&a.file).cmp(&run_order(&b.file)));
    Ok(dumps)
}

/// The dumps of a generation's data that this backup has taken, oldest first.
///
/// # Errors
/// As [`all`].
pub(crate) fn of_generation(session: &Session<'_>, generation: u32, backup: &str) -> Result<Vec<Dump>> {
    let mut dumps = all(&session.home.backups())?;
    dumps.retain(|dump| dump.generation == generation && dump.backup == backup);
    Ok(dumps)
}

/// Writes a dump's digest beside it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_sum(path: &Path, digest: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {name}\n", hex(digest));
    write_atomic(&sum_of(path), line.as_bytes(), 0o600, Ownership::Keep)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a dump whose program said that all is well: it is empty, or does not end as it should.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn incomplete(backup: &Backup, path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(Some("is empty".to_owned()));
    }
    let Some(end) = &backup.ends_with else { return Ok(None) };
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if String::from_utf8_lossy(&tail).contains(end.as_str()) {
        return Ok(None);
    }
    Ok(Some(format!("broke off: its {size} bytes do not end with `{end}`")))
}

/// Refuses a dump that is not what was written: empty, broken off, or of another digest. One without a digest was taken by
/// an older xr.
///
/// # Errors
/// What is wrong with it; [`xr_model::exit::INTERRUPTED`] when the run is cancelled.
pub(crate) fn refuse_damaged(backup: &Backup, dump: &Dump, cancel: &Cancel) -> Result<()> {
    let path = dump.path.display();
    let damaged = |what: String| Fault::new(format!("the dump {path} {what}"));
    if let Some(what) = incomplete(backup, &dump.path).map_err(Fault::at(format!("cannot read {path}")))? {
        return Err(damaged(what));
    }
    let sum = match fs::read_to_string(dump.sum()) {
        Ok(sum) => sum,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Fault::new(format!("cannot read {}", dump.sum().display())).because(error)),
    };
    let mut file = File::open(&dump.path).map_err(Fault::at(format!("cannot read {path}")))?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut chunk).map_err(Fault::at(format!("cannot read {path}")))?;
        if length == 0 {
            break;
        }
        if cancel.is_raised() {
            return Err(Fault::new("interrupted").code(xr_model::exit::INTERRUPTED));
        }
        digest.update(&chunk[..length]);
    }
    if sum.split_whitespace().next() == Some(hex(&digest.finalize()).as_str()) {
        return Ok(());
    }
    Err(damaged("was changed since it was taken: its SHA-256 is another".to_owned()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the file that is examined")]
mod tests {
    use super::*;

    fn backup(ends_with: Option<&str>) -> Backup {
        Backup {
            name: "db".to_owned(),
            image: "postgres".to_owned(),
            kin: Vec::new(),
            command: Vec::new(),
            restore: None,
            requires_program: None,
            requires: None,
            ends_with: ends_with.map(str::to_owned),
            timeout: None,
        }
    }

    #[test]
    fn a_backup_that_broke_off_is_told_from_a_complete_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump");
        fs::write(&path, format!("{}-- dump complete\n--\n", "x".repeat(9000))).unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_none());
        fs::write(&path, "-- dump complete").unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_none());
        fs::write(&path, "COPY rows FROM stdin;\n1\n").unwrap();
        assert!(incomplete(&backup(Some("dump complete")), &path).unwrap().is_some());
        assert!(incomplete(&backup(None), &path).unwrap().is_none());
        fs::write(&path, "").unwrap();
        assert!(incomplete(&backup(None), &path).unwrap().is_some());
    }

    #[test]
    fn a_dump_is_known_by_its_name_and_refused_when_a_byte_of_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("20260102T030405-g7-db-of-mine.sql");
        fs::write(&path, "rows").unwrap();
        write_sum(&path, &Sha256::digest("rows")).unwrap();
        fs::write(dir.path().join("20260102T030406-g7-db.part"), "half").unwrap();
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let found = all(dir.path()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let dump = &found[0];
        assert_eq!((dump.generation, dump.backup.as_str(), dump.size), (7, "db-of-mine.sql", 4));
        assert_eq!((dump.taken.to_string().as_str(), &dump.service), ("2026-01-02T03:04:05", &None));
        let named = Dump::of(Path::new("/b/000007-20260102T030405-g7-db-app@postgres.sql"), 1).unwrap();
        assert_eq!((named.service.as_deref(), named.backup.as_str()), (Some("db-app"), "postgres.sql"));
        let check = || refuse_damaged(&backup(None), dump, &Cancel::default());
        check().unwrap();
        fs::write(&path, "rowz").unwrap();
        assert!(check().unwrap_err().message.contains("SHA-256"));
        fs::remove_file(sum_of(&path)).unwrap();
        check().unwrap();
    }
}
