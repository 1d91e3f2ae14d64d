//! Room that is kept for the end of a run. On a disk that others fill up in the meantime a run could neither be taken
//! back nor noted to be over; the reserve is given up for that, and made again when there is room.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use rustix::{fs::FallocateFlags, io::Errno};

use crate::{Home, room::free};

/// Bytes: the journal, `.env`, VERSION and the files of a release that differ take a fraction of it.
const SIZE: u64 = 4 << 20;
/// Bytes that must be free beside it when it is made: it must not be what fills a disk up.
const BESIDE: u64 = 16 << 20;

/// `.xr/reserve`.
#[derive(Clone, Debug)]
pub struct Reserve {
    folder: PathBuf,
    path: PathBuf,
}

impl Reserve {
    /// The reserve of this `.xr/`.
    pub fn of(home: &Home) -> Self {
        Self { folder: home.path().to_owned(), path: home.path().join("reserve") }
    }

    /// Makes it when there is none and room enough. It is a precaution: without it a run works all the same.
    pub fn keep(&self) {
        if fs::metadata(&self.path).is_ok_and(|there| there.len() >= SIZE) || free(&self.folder) < SIZE + BESIDE {
            return;
        }
        if self.make().is_err() {
            // Part of one would only be in the way.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn make(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.path)?;
        crate::give_to_folders_owner(&file, &self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            // Not every file system can (NFS 3, ZFS): then there must be content.
            Err(Errno::OPNOTSUPP) => file.write_all(&vec![0; SIZE as usize]),
            made => made.map_err(io::Error::from),
        }
    }

    /// Gives it up when the disk has less room than it takes: for an undo, or to bring up again what is installed.
    pub fn give_up_if_needed(&self) {
        if free(&self.folder) < SIZE {
            // Without one there is nothing to give up.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_takes_real_room_and_stays_as_long_as_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        let reserve = Reserve::of(&home);
        reserve.keep();
        let made = fs::metadata(&reserve.path).unwrap();
        assert_eq!((made.len(), made.mode() & 0o777), (SIZE, 0o600));
        assert!(made.blocks() * 512 >= SIZE, "{} blocks", made.blocks());
        reserve.give_up_if_needed();
        assert!(reserve.path.exists(), "the disk of this test is not full");
    }
}
