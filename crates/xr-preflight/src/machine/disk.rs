//! Free space where something will be written.

use std::path::Path;

use crate::check::{Check, human};

/// Free space for an unprivileged writer at `path`, or at its nearest ancestor that exists.
pub(super) fn free(path: &Path, required: u64) -> Check {
    let name = format!("disk {}", path.display());
    let Some(there) = path.ancestors().find(|one| one.exists()) else {
        return Check::warning(name, "no folder above it exists", "give an absolute path");
    };
    match rustix::fs::statvfs(there) {
        Err(error) => Check::warning(name, format!("cannot be asked: {error}"), format!("df -h {}", there.display())),
        Ok(stat) => {
            judge(name, there, stat.f_bavail.saturating_mul(stat.f_frsize), required, stat.f_files, stat.f_favail)
        }
    }
}

fn judge(name: String, there: &Path, free: u64, required: u64, inodes: u64, free_inodes: u64) -> Check {
    let evidence = format!("{} free", human(free));
    if free < required {
        return Check::problem(
            name,
            format!("{evidence}; {} are needed", human(required)),
            format!("docker system df; docker image prune; df -h {}", there.display()),
        );
    }
    // Some file systems (btrfs) count no inodes at all.
    if inodes > 0 && free_inodes < 10_000 {
        return Check::problem(name, format!("only {free_inodes} inodes free"), format!("df -i {}", there.display()));
    }
    Check::good(name, evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    #[test]
    fn too_little_space_and_too_few_inodes_are_problems() {
        for (free, inodes, free_inodes, grade) in [
            (10 << 30, 1_000_000, 900_000, Grade::Good),
            (1 << 30, 1_000_000, 900_000, Grade::Problem),
            (10 << 30, 1_000_000, 10, Grade::Problem),
            (10 << 30, 0, 0, Grade::Good),
        ] {
            let check = judge("disk".to_owned(), Path::new("/"), free, 5 << 30, inodes, free_inodes);
            assert_eq!(check.grade, grade, "{free} {inodes} {free_inodes}");
        }
    }

    #[test]
    fn a_folder_yet_to_be_made_is_judged_by_the_disk_it_will_be_on() {
        assert!(free(Path::new("/tmp/no/such/folder"), 1).evidence.ends_with("free"));
    }
}
