//! `/etc/os-release`, after os-release(5), and the package managers xr knows.

/// Which package manager a distribution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Debian, Ubuntu and theirs.
    Apt,
    /// Fedora and theirs.
    Dnf,
    /// Alpine.
    Apk,
    /// openSUSE, SLES.
    Zypper,
    /// Arch.
    Pacman,
}

/// The fields of `/etc/os-release` that matter here; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `debian`
    pub id: String,
    /// `ubuntu debian`
    pub id_like: Vec<String>,
    /// `12`
    pub version_id: String,
    /// `bookworm`
    pub codename: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub pretty_name: String,
}

impl OsRelease {
    /// Reads the file's text; unknown and broken lines are passed over, as the standard asks.
    pub fn parse(text: &str) -> Self {
        let mut os = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            let value = unquote(value);
            match key {
                "ID" => os.id = value,
                "ID_LIKE" => os.id_like = value.split_whitespace().map(str::to_owned).collect(),
                "VERSION_ID" => os.version_id = value,
                "VERSION_CODENAME" => os.codename = value,
                "PRETTY_NAME" => os.pretty_name = value,
                _ => {}
            }
        }
        os
    }

    /// The package manager: by the distribution's own id, then by what it says it is like.
    pub fn family(&self) -> Option<Family> {
        std::iter::once(&self.id).chain(&self.id_like).find_map(|id| match id.as_str() {
            "debian" | "ubuntu" => Some(Family::Apt),
            "fedora" | "rhel" | "centos" => Some(Family::Dnf),
            "alpine" => Some(Family::Apk),
            "suse" | "opensuse" | "sles" => Some(Family::Zypper),
            "arch" => Some(Family::Pacman),
            _ => None,
        })
    }

    /// The first number of `VERSION_ID`: 12 for Debian 12.
    pub fn major(&self) -> Option<u32> {
        self.version_id.split('.').next()?.parse().ok()
    }

    /// A name for messages.
    pub fn title(&self) -> String {
        match (self.pretty_name.is_empty(), self.id.is_empty()) {
            (false, _) => self.pretty_name.clone(),
            (true, false) => format!("{} {}", self.id, self.version_id).trim_end().to_owned(),
            (true, true) => "a Linux without a name".to_owned(),
        }
    }
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.replace("\\\"", "\"").replace("\\$", "$").replace("\\\\", "\\");
        }
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_id_or_by_what_they_are_like() {
        for (text, family) in [
            ("ID=debian\nVERSION_ID=\"12\"", Some(Family::Apt)),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", Some(Family::Apt)),
            ("ID='rocky'\nID_LIKE='rhel centos fedora'", Some(Family::Dnf)),
            ("ID=fedora", Some(Family::Dnf)),
            ("ID=alpine\nVERSION_ID=3.20.1", Some(Family::Apk)),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"", Some(Family::Zypper)),
            ("ID=manjaro\nID_LIKE=arch", Some(Family::Pacman)),
            ("ID=nixos", None),
            ("", None),
        ] {
            assert_eq!(OsRelease::parse(text).family(), family, "{text}");
        }
    }

    #[test]
    fn quotes_and_comments_are_read_as_the_standard_says() {
        let os = OsRelease::parse(
            "# a comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nbroken\nVERSION_ID='12.5'\n",
        );
        assert_eq!(os.title(), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(os.major(), Some(12));
    }

    #[test]
    fn a_rolling_release_has_no_major_version() {
        assert_eq!(OsRelease::parse("ID=debian\nVERSION_CODENAME=sid").major(), None);
    }
}
