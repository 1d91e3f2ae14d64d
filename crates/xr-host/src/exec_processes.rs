//! The processes of a program in a container, as `/proc` shows them: its session and all descendants.
//!
//! Whoever runs in a container by `exec` leads a session of its own (`setsid` in runc's and crun's start).

use std::fs;

use crate::process_tree::{Process, all};

/// A process's number in its container, from the innermost of its namespaces.
pub(crate) fn pid_inside(process: &Process) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.number())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

/// The processes of the program whose first process is `leader`, as far as they are in this container: on an engine that
/// runs elsewhere the same number is another's. Those that were `known` before are among them, and what they started,
/// whoever is their parent now.
pub(crate) fn of(leader: i32, container: &str, known: &[Process]) -> Vec<Process> {
    if container.is_empty() {
        return Vec::new();
    }
    let all = all();
    let mut ours = vec![leader];
    ours.extend(all.iter().filter(|one| known.iter().any(|other| other.is(one))).map(Process::number));
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|one| !ours.contains(&one.number()) && (one.session == leader || ours.contains(&one.parent)))
            .map(Process::number)
            .collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    all.into_iter()
        .filter(|one| ours.contains(&one.number()) && (one.ended || is_in(one.number(), container)))
        .collect()
}

fn is_in(pid: i32, container: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(container))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_in_no_such_container_is_nobodys() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(of(pid, "0123456789abcdef", &[]).is_empty());
        assert!(of(pid, "", &[]).is_empty());
        let me = Process::read(rustix::process::getpid()).unwrap();
        assert!(pid_inside(&me).is_some());
    }
}
