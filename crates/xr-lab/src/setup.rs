//! What the lab needs from the machine, installed once with apt.

use std::path::Path;

use anyhow::{Context, Result};
use duct::cmd;

use crate::Layout;
use crate::shell::{patiently, run, step};

/// A file that shows its package to be there, and the package.
const PACKAGES: [(&str, &str); 15] = [
    ("/usr/sbin/dockerd", "docker.io"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/docker-registry", "docker-registry"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/busybox", "busybox-static"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/ssh", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/faketime", "faketime"),
    ("/usr/bin/gpg", "gnupg"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/bin/fuser", "psmisc"),
    ("/usr/lib/postgresql/15/bin/initdb", "postgresql-15"),
];

/// Compose v2 and buildx: bookworm has neither, trixie's run on it.
const PLUGINS: [&str; 2] = ["docker-compose", "docker-buildx"];
const PLUGIN_DIR: &str = "/usr/libexec/docker/cli-plugins";
const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs what is missing; a few stat calls when nothing is. Needs root on Debian 12 or later.
pub fn setup(layout: &Layout) -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        step(&format!("install {}", missing.join(" ")), || patiently(|| install(&missing)))?;
    }
    let missing: Vec<&str> = PLUGINS.into_iter().filter(|name| !Path::new(PLUGIN_DIR).join(name).exists()).collect();
    if !missing.is_empty() {
        step(&format!("unpack {}", missing.join(" ")), || patiently(|| unpack_from_trixie(layout, &missing)))?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    run("apt-get update", cmd!("apt-get", "-q", "update"))?;
    let argv = ["install", "-q", "-y", "--no-install-recommends"].iter().chain(packages);
    // A policy that denies keeps Debian from starting a dockerd and a registry of its own.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        std::fs::set_permissions(policy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let result = run("apt-get install", cmd("apt-get", argv).env("DEBIAN_FRONTEND", "noninteractive"));
    if ours {
        std::fs::remove_file(policy)?;
    }
    result.map(drop)
}

/// Takes the plugins out of trixie's packages with lists of their own: the machine's apt never hears of trixie.
fn unpack_from_trixie(layout: &Layout, plugins: &[&str]) -> Result<()> {
    let dir = layout.join("trixie");
    std::fs::create_dir_all(dir.join("lists/partial"))?;
    std::fs::create_dir_all(dir.join("cache/archives/partial"))?;
    let sources = dir.join("sources.list");
    std::fs::write(&sources, format!("deb [signed-by={KEYRING}] {MIRROR} trixie main\n"))?;
    let options = [
        format!("-oDir::Etc::SourceList={}", sources.display()),
        "-oDir::Etc::SourceParts=-".to_owned(),
        "-oDir::Etc::PreferencesParts=-".to_owned(),
        format!("-oDir::State::Lists={}", dir.join("lists").display()),
        format!("-oDir::Cache={}", dir.join("cache").display()),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
    ];
    let apt = |verb: &[&str]| {
        let argv = options.iter().map(String::as_str).chain(verb.iter().copied()).map(str::to_owned);
        run(&format!("apt-get {}", verb.join(" ")), cmd("apt-get", argv).dir(&dir))
    };
    apt(&["-q", "update"])?;
    std::fs::create_dir_all(PLUGIN_DIR)?;
    for plugin in plugins {
        apt(&["-q", "download", plugin])?;
        let package = find(&dir, plugin)?;
        let root = dir.join(plugin);
        run("dpkg-deb", cmd!("dpkg-deb", "-x", &package, &root))?;
        let from = root.join("usr/libexec/docker/cli-plugins").join(plugin);
        std::fs::copy(&from, Path::new(PLUGIN_DIR).join(plugin))
            .with_context(|| format!("cannot install {}", from.display()))?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn find(dir: &Path, package: &str) -> Result<std::path::PathBuf> {
    std::fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
        })
        .with_context(|| format!("apt-get downloaded no {package}"))
}
