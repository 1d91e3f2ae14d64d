//! The machine itself: system, architecture, memory, disk, clock, and whether this user may reach Docker.

mod access;
mod clock;
mod disk;
mod memory;
mod os_release;

use std::{fs, path::Path};

pub use memory::Memory;
pub use os_release::{Family, OsRelease};

use crate::check::Check;

/// What the product asks of a machine. Zero, or an empty list, asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// RAM in bytes.
    pub memory: u64,
    /// Free bytes on each of the disks that will hold something.
    pub disk: u64,
    /// Architectures as the images name them: `amd64`, `arm64`.
    pub architectures: Vec<String>,
}

/// Looks at this machine; changes nothing. `disk_paths` need not exist yet.
pub fn examine(requirements: &Requirements, disk_paths: &[&Path]) -> Vec<Check> {
    let mut checks = vec![system(), architecture(&architecture_name(), &requirements.architectures)];
    match read("/proc/meminfo").and_then(|text| Memory::parse(&text)) {
        Some(memory) => {
            checks.push(memory::ram(&memory, requirements.memory));
            checks.push(memory::swap(&memory));
        }
        None => checks.push(Check::warning("memory", "/proc/meminfo cannot be read", "mount -t proc proc /proc")),
    }
    checks.extend(disk_paths.iter().map(|path| disk::free(path, requirements.disk)));
    checks.push(clock::examine());
    checks.push(access::socket());
    checks
}

/// Whether the disk of `path`, which need not exist yet, has this many bytes free.
pub fn disk(path: &Path, required: u64) -> Check {
    disk::free(path, required)
}

/// This machine's `/etc/os-release`; `None` when it has none.
pub fn os_release() -> Option<OsRelease> {
    read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).map(|text| OsRelease::parse(&text))
}

/// This machine's architecture as images name it: `amd64`, `arm64`; others as the kernel says.
pub fn architecture_name() -> String {
    match rustix::system::uname().machine().to_string_lossy().as_ref() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn system() -> Check {
    match os_release() {
        None => Check::warning(
            "system",
            "there is no /etc/os-release",
            "install Docker by hand; xr does not know this system",
        ),
        Some(os) if os.family().is_some() => Check::good("system", os.title()),
        Some(os) => Check::warning(
            "system",
            format!("{}: xr does not know its package manager", os.title()),
            "install Docker Engine and the compose plugin by hand; the rest works on any Linux",
        ),
    }
}

fn architecture(name: &str, offered: &[String]) -> Check {
    if offered.is_empty() || offered.iter().any(|one| one == name) {
        return Check::good("architecture", name);
    }
    Check::problem(
        "architecture",
        format!("{name}; this release has images for {}", offered.join(", ")),
        format!("use a machine of architecture {}", offered.join(" or ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    #[test]
    fn every_question_has_an_answer_on_this_machine() {
        let checks = examine(&Requirements::default(), &[Path::new("/var/lib/not-there/yet")]);
        let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
        for name in
            ["system", "architecture", "memory", "swap", "disk /var/lib/not-there/yet", "clock", "docker socket"]
        {
            assert!(names.contains(&name), "{name} is missing from {names:?}");
        }
    }

    #[test]
    fn what_is_not_good_says_what_to_do() {
        let greedy = Requirements { memory: u64::MAX, disk: u64::MAX, architectures: vec!["vax".to_owned()] };
        for check in examine(&greedy, &[Path::new("/")]) {
            assert_eq!(check.hint.is_some(), check.grade != Grade::Good, "{check:?}");
        }
    }

    #[test]
    fn an_architecture_without_images_is_a_problem() {
        let offered = ["amd64".to_owned()];
        assert_eq!(architecture("amd64", &offered).grade, Grade::Good);
        assert_eq!(architecture("arm64", &offered).grade, Grade::Problem);
        assert_eq!(architecture("riscv64", &[]).grade, Grade::Good);
    }
}
