//! Which operation it is that must go wrong, and how.

use std::{
    collections::HashMap,
    ffi::{CString, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What happens at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Before,
    After,
    Lost,
    Torn,
    Fails(i32),
}

/// What kind of operations is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    File,
    Journal,
    Look,
}

struct Point {
    place: Where,
    number: u64,
    and_on: bool,
    what: What,
    seen: AtomicU64,
}

/// What this process was told.
pub(crate) struct Orders {
    role: &'static str,
    root: PathBuf,
    log: Option<CString>,
    points: Vec<Point>,
    /// Bytes of each file (by device and inode) that are on the disk for sure.
    synced: Mutex<HashMap<(u64, u64), i64>>,
}

/// The orders; none for a program that is not xr.
pub(crate) fn orders() -> Option<&'static Orders> {
    static ORDERS: OnceLock<Option<Orders>> = OnceLock::new();
    ORDERS.get_or_init(read).as_ref()
}

fn read() -> Option<Orders> {
    let program = std::env::current_exe().ok()?;
    if program.file_name() != Some(OsStr::new("xr")) {
        return None;
    }
    let root = PathBuf::from(std::env::var_os("XR_FAULTS_ROOT")?);
    let role = if std::env::args().nth(1).as_deref() == Some("guard") { "guard" } else { "run" };
    let text = std::env::var("XR_FAULTS").unwrap_or_default();
    let points = text.split(',').filter_map(|point| parse(point, role)).collect();
    let log = std::env::var_os("XR_FAULTS_LOG").and_then(|path| CString::new(path.as_bytes()).ok());
    Some(Orders { role, root, log, points, synced: Mutex::default() })
}

fn parse(text: &str, role: &str) -> Option<Point> {
    let mut parts = text.split(':');
    if parts.next()? != role {
        return None;
    }
    let place = match parts.next()? {
        "file" => Where::File,
        "journal" => Where::Journal,
        "look" => Where::Look,
        _ => return None,
    };
    let number = parts.next()?;
    let what = match parts.next()? {
        "before" => What::Before,
        "after" => What::After,
        "lost" => What::Lost,
        "torn" => What::Torn,
        "ENOSPC" => What::Fails(libc::ENOSPC),
        "EIO" => What::Fails(libc::EIO),
        "EROFS" => What::Fails(libc::EROFS),
        _ => return None,
    };
    let and_on = number.ends_with('+');
    Some(Point { place, number: number.trim_end_matches('+').parse().ok()?, and_on, what, seen: AtomicU64::new(0) })
}

impl Orders {
    /// Whether a path is one that counts.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// What is to happen at this operation, the next of its kind.
    pub(crate) fn next(&self, place: Where, operation: &str, path: &Path) -> Option<What> {
        if place == Where::File {
            self.note(operation, path);
        }
        self.points.iter().filter(|point| point.place == place).find_map(|point| {
            let seen = point.seen.fetch_add(1, Ordering::SeqCst) + 1;
            (seen == point.number || (point.and_on && seen > point.number)).then_some(point.what)
        })
    }

    fn note(&self, operation: &str, path: &Path) {
        let Some(log) = &self.log else { return };
        let line = format!("{} {operation} {}\n", self.role, path.display());
        // SAFETY: the path is a C string, the buffer outlives the call, the descriptor is closed once.
        unsafe {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
            let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, log.as_ptr(), flags, 0o600);
            libc::syscall(libc::SYS_write, fd, line.as_ptr(), line.len());
            libc::syscall(libc::SYS_close, fd);
        }
    }

    /// The whole file behind `fd` is on the disk.
    pub(crate) fn is_synced(&self, fd: i32) {
        if let Some((file, size)) = identity(fd) {
            self.synced.lock().unwrap_or_else(PoisonError::into_inner).insert(file, size);
        }
    }

    /// Shortens a file to what is on the disk, and to half of the rest when it is torn.
    pub(crate) fn forget(&self, fd: i32, torn: bool) {
        let Some((file, size)) = identity(fd) else { return };
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner).get(&file).copied().unwrap_or(0);
        let kept = if torn { synced + (size - synced) / 2 } else { synced };
        // SAFETY: a system call on a descriptor that the caller holds.
        unsafe { libc::syscall(libc::SYS_ftruncate, fd, kept) };
    }
}

fn identity(fd: i32) -> Option<((u64, u64), i64)> {
    // SAFETY: a zeroed `stat` is valid, and is only read after the call has filled it.
    let (result, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &raw mut stat), stat)
    };
    (result == 0).then_some(((stat.st_dev, stat.st_ino), stat.st_size))
}

/// The end of everything in this process group.
pub(crate) fn die() -> ! {
    loop {
        // SAFETY: no memory is involved.
        unsafe {
            libc::kill(0, libc::SIGKILL);
            libc::pause();
        }
    }
}
