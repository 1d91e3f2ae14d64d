//! Packages of any Debian suite, unpacked into a folder with lists of their own: the machine's apt never hears of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use duct::cmd;

use crate::shell::run;

const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads these packages of a suite into `work` and unpacks them over `root`; what they depend on is not looked at.
pub(crate) fn unpack(suite: &str, packages: &[&str], work: &Path, root: &Path) -> Result<()> {
    for dir in ["lists/partial", "cache/archives/partial", "parts", "packages"] {
        std::fs::create_dir_all(work.join(dir))?;
    }
    let sources = work.join("sources.list");
    std::fs::write(&sources, format!("deb [signed-by={KEYRING}] {MIRROR} {suite} main\n"))?;
    let options = [
        format!("-oDir::Etc::SourceList={}", sources.display()),
        format!("-oDir::Etc::SourceParts={}", work.join("parts").display()),
        format!("-oDir::Etc::PreferencesParts={}", work.join("parts").display()),
        format!("-oDir::State::Lists={}", work.join("lists").display()),
        format!("-oDir::Cache={}", work.join("cache").display()),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        "-oAcquire::Languages=none".to_owned(),
    ];
    let downloads = work.join("packages");
    let apt = |verb: &[&str]| {
        let argv = options.iter().map(String::as_str).chain(["-q"]).chain(verb.iter().copied());
        run(&format!("apt-get {}", verb.join(" ")), cmd("apt-get", argv).dir(&downloads))
    };
    apt(&["update"])?;
    apt(&[&["download"], packages].concat())?;
    std::fs::create_dir_all(root)?;
    let found: Vec<PathBuf> = std::fs::read_dir(&downloads)?.flatten().map(|entry| entry.path()).collect();
    for package in found {
        run("dpkg-deb", cmd!("dpkg-deb", "-x", &package, root))?;
    }
    Ok(())
}
