//! May this user reach the Docker socket at all?

use std::fs;

use crate::check::Check;

/// Root, a member of group `docker`, or one whose `DOCKER_HOST` points elsewhere.
pub(super) fn socket() -> Check {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let mine: Vec<u32> = rustix::process::getgroups()
        .unwrap_or_default()
        .into_iter()
        .chain([rustix::process::getegid()])
        .map(rustix::process::Gid::as_raw)
        .collect();
    judge(rustix::process::geteuid().is_root(), host.as_deref(), docker_group(&groups), &mine)
}

fn judge(root: bool, docker_host: Option<&str>, docker: Option<u32>, mine: &[u32]) -> Check {
    const NAME: &str = "docker socket";
    if let Some(host) = docker_host {
        return Check::good(NAME, format!("DOCKER_HOST is {host}"));
    }
    if root {
        return Check::good(NAME, "running as root");
    }
    match docker {
        Some(gid) if mine.contains(&gid) => Check::good(NAME, "member of group docker"),
        Some(_) => Check::problem(
            NAME,
            "neither root nor a member of group docker",
            "sudo usermod -aG docker $USER, then log in again; or run xr with sudo",
        ),
        None => Check::problem(NAME, "not root, and there is no group docker yet", "run xr with sudo"),
    }
}

fn docker_group(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.strip_prefix("docker:")?.split(':').nth(1)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    #[test]
    fn root_and_members_of_group_docker_may() {
        for (root, host, docker, mine, grade) in [
            (true, None, None, vec![0], Grade::Good),
            (false, None, Some(999), vec![1000, 999], Grade::Good),
            (false, None, Some(999), vec![1000], Grade::Problem),
            (false, None, None, vec![1000], Grade::Problem),
            (false, Some("ssh://far"), None, vec![1000], Grade::Good),
        ] {
            assert_eq!(judge(root, host, docker, &mine).grade, grade, "{root} {host:?} {docker:?} {mine:?}");
        }
    }

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        assert_eq!(docker_group("root:x:0:\ndockers:x:5:\ndocker:x:998:anna\n"), Some(998));
        assert_eq!(docker_group("root:x:0:\n"), None);
    }
}
