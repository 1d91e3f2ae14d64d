//! The operations that change files, in the place of the C library's.

use std::{
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use libc::{AT_FDCWD, c_char, c_int, c_long, c_uint, c_void, mode_t, off64_t, size_t, ssize_t};

use crate::point::{Orders, What, Where, die, orders};

/// Does `call`, or what is ordered instead.
fn guarded(place: Where, operation: &str, path: Option<PathBuf>, fd: c_int, call: impl FnOnce() -> c_long) -> c_long {
    let Some((orders, path)) = orders().zip(path) else { return call() };
    if !orders.covers(&path) {
        return call();
    }
    let at_file = orders.next(Where::File, operation, &path);
    let what = if place == Where::File { at_file } else { at_file.or_else(|| orders.next(place, operation, &path)) };
    carry_out(orders, what, fd, call)
}

fn carry_out(orders: &Orders, what: Option<What>, fd: c_int, call: impl FnOnce() -> c_long) -> c_long {
    match what {
        None => call(),
        Some(What::Before) => die(),
        Some(What::After) => {
            call();
            die()
        }
        Some(What::Lost | What::Torn) => {
            orders.forget(fd, what == Some(What::Torn));
            die()
        }
        Some(What::Fails(error)) => {
            // SAFETY: the address of this thread's errno.
            unsafe { *libc::__errno_location() = error };
            -1
        }
    }
}

fn path_of(fd: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// # Safety
/// `path` is null or a C string.
unsafe fn path_at(dir: c_int, path: *const c_char) -> Option<PathBuf> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    let base = if dir == AT_FDCWD { std::env::current_dir().ok() } else { path_of(dir) };
    base.map(|base| base.join(path))
}

fn is_journal(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("jsonl"))
}

/// # Safety
/// As `openat(2)`.
unsafe fn open_at(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments are passed on.
    let open = || unsafe { libc::syscall(libc::SYS_openat, dir, path, flags, mode as c_uint) };
    // SAFETY: the caller's promise.
    let named = unsafe { path_at(dir, path) };
    let is_new = flags & libc::O_CREAT != 0 && named.as_deref().is_some_and(|path| !path.exists());
    let journal = named.as_deref().is_some_and(is_journal);
    if let Some(orders) = orders().filter(|orders| journal && named.as_deref().is_some_and(|path| orders.covers(path)))
    {
        let path = named.clone().unwrap_or_default();
        if matches!(orders.next(Where::Look, "look", &path), Some(What::Before | What::After)) {
            die();
        }
    }
    let fd = if is_new || flags & libc::O_TRUNC != 0 { guarded(Where::File, "create", named, -1, open) } else { open() }
        as c_int;
    if journal
        && fd >= 0
        && let Some(orders) = orders()
    {
        orders.is_synced(fd);
    }
    fd
}

/// # Safety
/// As `openat(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { open_at(dir, path, flags, mode) }
}

/// # Safety
/// As `open(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { open_at(AT_FDCWD, path, flags, mode) }
}

/// # Safety
/// As `write(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's arguments are passed on.
    let call = || unsafe { libc::syscall(libc::SYS_write, fd, bytes, count) };
    let path = orders().and_then(|_| path_of(fd));
    guarded(Where::File, "write", path, fd, call) as ssize_t
}

fn sync(fd: c_int, number: c_long) -> c_int {
    // SAFETY: a system call on the caller's descriptor.
    let call = || unsafe { libc::syscall(number, fd) };
    let path = orders().and_then(|_| path_of(fd));
    let journal = path.as_deref().is_some_and(is_journal);
    let place = if journal { Where::Journal } else { Where::File };
    let result = guarded(place, "sync", path, fd, call) as c_int;
    if result == 0
        && journal
        && let Some(orders) = orders()
    {
        orders.is_synced(fd);
    }
    result
}

/// `fsync(2)`
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fsync)
}

/// `fdatasync(2)`
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fdatasync)
}

/// `ftruncate(2)`
#[unsafe(no_mangle)]
pub extern "C" fn ftruncate64(fd: c_int, length: off64_t) -> c_int {
    // SAFETY: a system call on the caller's descriptor.
    let call = || unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) };
    guarded(Where::File, "truncate", orders().and_then(|_| path_of(fd)), fd, call) as c_int
}

/// # Safety
/// As `rename(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's arguments are passed on.
    let call = || unsafe { libc::syscall(libc::SYS_renameat, AT_FDCWD, from, AT_FDCWD, to) };
    // SAFETY: the caller's promise.
    guarded(Where::File, "rename", unsafe { path_at(AT_FDCWD, to) }, -1, call) as c_int
}

/// # Safety
/// As `unlinkat(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments are passed on.
    let call = || unsafe { libc::syscall(libc::SYS_unlinkat, dir, path, flags) };
    // SAFETY: the caller's promise.
    guarded(Where::File, "remove", unsafe { path_at(dir, path) }, -1, call) as c_int
}

/// # Safety
/// As `unlink(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { unlinkat(AT_FDCWD, path, 0) }
}

/// # Safety
/// As `rmdir(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

/// # Safety
/// As `mkdir(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments are passed on.
    let call = || unsafe { libc::syscall(libc::SYS_mkdirat, AT_FDCWD, path, mode as c_uint) };
    // SAFETY: the caller's promise.
    guarded(Where::File, "mkdir", unsafe { path_at(AT_FDCWD, path) }, -1, call) as c_int
}
