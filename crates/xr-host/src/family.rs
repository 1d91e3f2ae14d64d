//! The processes of a program in a container, as `/proc` shows them: its session and all descendants.
//!
//! Whoever runs in a container by `exec` leads a session of its own (`setsid` in runc's and crun's start).

use std::{fs, str};

/// A process, told from a later one with the same number by when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its number here.
    pub pid: i32,
    /// Who started it, or has taken it over.
    pub parent: i32,
    /// Whether it has ended and waits for its parent to hear of it.
    pub zombie: bool,
    started: String,
}

/// One line of `/proc/PID/stat`: see proc(5).
struct Stat {
    parent: i32,
    session: i32,
    zombie: bool,
    started: String,
}

impl Member {
    /// Whether it is the same process.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.pid, &self.started) == (other.pid, &other.started)
    }

    /// Its number in the container, from the innermost of its namespaces.
    pub(crate) fn pid_inside(&self) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
    }
}

/// The processes of the program whose first process is `leader`, as far as they are in this container: on an engine that
/// runs elsewhere the same number is another's. Those that were `known` before are among them, and what they started,
/// whoever is their parent now.
pub(crate) fn of(leader: i32, container: &str, known: &[Member]) -> Vec<Member> {
    if container.is_empty() {
        return Vec::new();
    }
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let all: Vec<(i32, Stat)> = numbers.filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let still = |pid: i32, stat: &Stat| known.iter().any(|one| one.pid == pid && one.started == stat.started);
    let mut ours = vec![leader];
    ours.extend(all.iter().filter(|(pid, stat)| still(*pid, stat)).map(|(pid, _)| *pid));
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| !ours.contains(pid) && (stat.session == leader || ours.contains(&stat.parent)))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    all.into_iter()
        .filter(|(pid, stat)| ours.contains(pid) && (stat.zombie || is_in(*pid, container)))
        .map(|(pid, Stat { parent, zombie, started, .. })| Member { pid, parent, zombie, started })
        .collect()
}

fn is_in(pid: i32, container: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(container))
}

fn stat(pid: i32) -> Option<Stat> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let rest = &line[line.iter().rposition(|byte| *byte == b')')? + 1..];
    let fields: Vec<&str> = str::from_utf8(rest).ok()?.split_whitespace().collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: (*fields.get(19)?).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_in_no_such_container_is_nobodys() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(of(pid, "0123456789abcdef", &[]).is_empty());
        assert!(of(pid, "", &[]).is_empty());
    }

    #[test]
    fn a_later_process_with_the_same_number_is_another() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let Stat { parent, zombie, started, .. } = stat(pid).unwrap();
        let me = Member { pid, parent, zombie, started };
        assert!(!me.zombie && me.pid_inside().is_some());
        assert!(me.is(&me.clone()) && !me.is(&Member { started: "0".to_owned(), ..me.clone() }));
    }
}
