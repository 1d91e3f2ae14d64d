//! What the lab needs from the machine, installed once with apt. The engine is not among it: see `engine_release.rs`.

use std::path::Path;

use anyhow::Result;
use duct::cmd;

use crate::shell::{patiently, run, step};

/// A file that shows its package to be there, and the package.
const PACKAGES: [(&str, &str); 18] = [
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/slirp4netns", "slirp4netns"),
    ("/usr/bin/setpriv", "util-linux"),
    ("/usr/lib/x86_64-linux-gnu/libseccomp.so.2", "libseccomp2"),
    ("/usr/lib/x86_64-linux-gnu/libdevmapper.so.1.02.1", "libdevmapper1.02.1"),
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

/// Installs what is missing; a few stat calls when nothing is. Needs root on Debian 12 or later.
pub(crate) fn setup() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("install {}", missing.join(" ")), || patiently(|| install(&missing)))
}

fn install(packages: &[&str]) -> Result<()> {
    run("apt-get update", cmd!("apt-get", "-q", "update"))?;
    let argv = ["install", "-q", "-y", "--no-install-recommends"].iter().chain(packages);
    // A policy that denies keeps Debian from starting a registry and a database of its own.
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
