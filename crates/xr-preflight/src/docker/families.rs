//! What Docker and its compose plugin are called outside Debian's world, and who installs them there.

use xr_host::Cmd;
use xr_model::{Fault, Result};

use crate::machine::{Family, OsRelease};

/// One package manager's words.
struct Words {
    family: Family,
    install: &'static [&'static str],
    engine: &'static [&'static str],
    compose: &'static [&'static str],
}

const WORDS: [Words; 4] = [
    Words {
        family: Family::Dnf,
        install: &["dnf", "install", "-y", "--setopt=install_weak_deps=False"],
        engine: &["moby-engine", "docker-cli"],
        compose: &["docker-compose"],
    },
    Words {
        family: Family::Apk,
        install: &["apk", "add", "--no-cache"],
        engine: &["docker"],
        compose: &["docker-cli-compose"],
    },
    Words {
        family: Family::Zypper,
        install: &["zypper", "--non-interactive", "install", "--no-recommends"],
        engine: &["docker"],
        compose: &["docker-compose"],
    },
    Words {
        family: Family::Pacman,
        install: &["pacman", "-S", "--noconfirm", "--needed"],
        engine: &["docker"],
        compose: &["docker-compose"],
    },
];

/// The one command that installs what is missing.
///
/// # Errors
/// When the distribution packages no Docker: the hint says whose packages to use.
pub(super) fn install(os: &OsRelease, family: Family, engine: bool, compose: bool) -> Result<Cmd> {
    let unknown = || Fault::new(format!("xr does not know how to install Docker on {}", os.title()));
    if family == Family::Dnf && os.id != "fedora" {
        return Err(Fault::new(format!("{} has no packages of Docker", os.title())).hint(
            "dnf config-manager --add-repo https://download.docker.com/linux/rhel/docker-ce.repo && \
             dnf install docker-ce docker-compose-plugin",
        ));
    }
    let words = WORDS.iter().find(|words| words.family == family).ok_or_else(unknown)?;
    let (program, args) = words.install.split_first().ok_or_else(unknown)?;
    let packages = [(engine, words.engine), (compose, words.compose)];
    let packages = packages.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, names)| names);
    Ok(Cmd::new(program).args(args).args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_manager_is_spoken_to_in_its_own_words() {
        for (id, family, line) in [
            (
                "fedora",
                Family::Dnf,
                "dnf install -y --setopt=install_weak_deps=False moby-engine docker-cli docker-compose",
            ),
            ("alpine", Family::Apk, "apk add --no-cache docker docker-cli-compose"),
            ("opensuse-leap", Family::Zypper, "zypper --non-interactive install --no-recommends docker docker-compose"),
            ("arch", Family::Pacman, "pacman -S --noconfirm --needed docker docker-compose"),
        ] {
            let os = OsRelease { id: id.to_owned(), ..OsRelease::default() };
            assert_eq!(install(&os, family, true, true).unwrap().to_string(), line);
        }
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let os = OsRelease { id: "alpine".to_owned(), ..OsRelease::default() };
        assert_eq!(
            install(&os, Family::Apk, false, true).unwrap().to_string(),
            "apk add --no-cache docker-cli-compose"
        );
    }

    #[test]
    fn a_distribution_without_docker_says_whose_packages_to_use() {
        let os = OsRelease { id: "rocky".to_owned(), ..OsRelease::default() };
        assert!(install(&os, Family::Dnf, true, true).unwrap_err().hint.unwrap().contains("docker-ce"));
    }
}
