//! The append-only record of each run: fsynced line by line, a torn last line never followed by another record.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
};

use xr_model::{JOURNAL_FORMAT, Plan, Record, Result};

use crate::{Home, atomic::open_append, order, refusal::refused};

/// A run's journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    id: String,
}

impl Journal {
    /// Begins a run's journal. Its name begins with the run's number; `at` is RFC 3339 UTC. The caller holds the lock.
    ///
    /// # Errors
    /// When it cannot be written; nothing must be done then.
    pub fn begin(home: &Home, at: &str, plan: &Plan, xr: &str) -> Result<Self> {
        let stamp: String = at.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let id = format!("{:06}-{stamp}-{}", order::next(&home.journals())?, plan.kind.as_str());
        let mut journal = Self::open(home, &id)?;
        let first =
            Record::RunStarted { format: JOURNAL_FORMAT, at: at.to_owned(), xr: xr.to_owned(), plan: plan.clone() };
        // The file's name must survive a power cut as well as its content.
        let begun = journal.append(&first).and_then(|()| {
            let synced = File::open(home.journals()).and_then(|dir| dir.sync_all());
            synced.map_err(|error| refused("sync", &home.journals(), error))
        });
        begun.inspect_err(|_| {
            // No run began; a file that is left all the same holds no whole record and is passed over.
            let _ = fs::remove_file(&journal.path);
        })?;
        Ok(journal)
    }

    /// Opens a run's journal to go on with it. A torn last line, which a crash or a full disk leaves, is cut off.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(home: &Home, id: &str) -> Result<Self> {
        let path = home.journals().join(format!("{id}.jsonl"));
        let file = open_append(&path).map_err(|error| refused("open", &path, error))?;
        let mut journal = Self { file, path, id: id.to_owned() };
        journal.mend().map_err(|error| refused("write", &journal.path, error))?;
        Ok(journal)
    }

    /// The next record must begin on a line of its own.
    fn mend(&mut self) -> io::Result<()> {
        let bytes = fs::read(&self.path)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == bytes.len() {
            return Ok(());
        }
        match serde_json::from_slice::<Record>(&bytes[whole..]) {
            Ok(_) => self.file.write_all(b"\n"),
            Err(_) => self.file.set_len(whole as u64),
        }
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends one record and waits until it is on the disk. What a full disk took of a record that it refused is taken
    /// out again: the records of the undo come after it.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let before = self.file.seek(SeekFrom::End(0));
        let write = |file: &mut File| {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|error| {
            if let Ok(before) = before {
                // On a disk that refuses this too the line stays torn, and readers know torn lines.
                let _ = self.file.set_len(before);
            }
            refused("write", &self.path, error)
        })
    }
}
