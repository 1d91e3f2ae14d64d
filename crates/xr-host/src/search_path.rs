//! Where a program is. The standard library starts one that it is given whole by `posix_spawn`; one that is still to be found in
//! an environment of its own costs a copy of this process's memory map, which takes longer than many a child runs.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// The program of this name in the folders of `PATH`; none where only the system can tell: the name is a path, or a folder
/// before it is meant from wherever the program will run.
pub(crate) fn find(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if Path::new(name).components().count() != 1 || name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    for folder in env::split_paths(path) {
        if !folder.is_absolute() {
            return None;
        }
        let file = folder.join(name);
        if file.is_file() && access(&file, Access::EXEC_OK).is_ok() {
            return says_what_it_is(&file).then_some(file);
        }
    }
    None
}

/// Whether a file begins as a program does. One that does not is for `execvp`, which takes it for a script of the shell's.
fn says_what_it_is(file: &Path) -> bool {
    let mut begin = [0; 4];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut begin));
    // One that may be run and not be read is no script.
    read.map_or_else(
        |error| error.kind() == ErrorKind::PermissionDenied,
        |()| begin == *b"\x7fELF" || begin.starts_with(b"#!"),
    )
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes its own files")]
mod tests {
    use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_first_program_of_a_name_that_can_be_run_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        fs::create_dir_all(first.join("folder")).unwrap();
        fs::create_dir(&second).unwrap();
        for (file, mode) in
            [(first.join("notes"), 0o644), (second.join("notes"), 0o755), (second.join("folder"), 0o755)]
        {
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let plain = first.join("plain");
        fs::write(&plain, "echo no more\n").unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        let path = env::join_paths([&first, &second]).unwrap();
        assert_eq!(find(OsStr::new("notes"), &path), Some(second.join("notes")));
        assert_eq!(find(OsStr::new("folder"), &path), Some(second.join("folder")));
        assert_eq!(find(OsStr::new("no-such"), &path), None);
        // What does not say by what it is run is left to the system.
        assert_eq!(find(OsStr::new("plain"), &path), None);
        assert_eq!(find(OsStr::new("./notes"), &path), None);
        // A relative folder is one of wherever the program will run.
        let relative = [OsString::from("here").as_os_str(), &path].join(OsStr::new(":"));
        assert_eq!(find(OsStr::new("notes"), &relative), None);
    }
}
