//! Ending a program in a container. An engine has no call for it, and a connection that is dropped ends nothing: the
//! program's processes are signalled, as far as this machine sees them and they are the container's.

use std::time::{Duration, Instant};

use bollard::{models::ExecConfig, query_parameters::InspectContainerOptions};
use rustix::process::{Signal, kill_process};
use xr_model::Result;

use crate::{engine::Engine, exec_processes, process_tree::Process};

/// How long a program may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long the last of a chain of processes are signalled before those that have started them. A parent that goes first
/// leaves its children to the container's first process, and one that is PostgreSQL takes a strange child that was ended by
/// a signal for a crash of its own: it ends all connections and recovers.
const FROM_BELOW: Duration = Duration::from_secs(2);
/// How long the end of a killed one is waited for.
const LAST: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Ends every run of a program in a container that a process which is gone may have left: known by its arguments,
    /// as far as `argv` has them. True when none is left.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn end_programs(&self, container: &str, argv: &[String]) -> Result<bool> {
        let found = self.docker.inspect_container(container, None::<InspectContainerOptions>).await;
        let mut gone = true;
        for exec in found.ok().and_then(|found| found.exec_ids).unwrap_or_default() {
            let Ok(seen) = self.docker.inspect_exec(&exec).await else { continue };
            let process = seen.process_config.unwrap_or_default();
            let runs: Vec<String> =
                process.entrypoint.into_iter().chain(process.arguments.unwrap_or_default()).collect();
            if seen.running == Some(true) && runs.starts_with(argv) {
                let leader = seen.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
                gone &= self.end_exec(&exec, container, leader).await;
            }
        }
        Ok(gone)
    }

    /// The number on the engine's machine of a program's first process; none when it has ended or is not told.
    pub(crate) async fn leader_of(&self, exec: &str) -> Option<i32> {
        let pid = self.docker.inspect_exec(exec).await.ok()?.pid?;
        i32::try_from(pid).ok().filter(|pid| *pid > 0)
    }

    /// Ends a program with what it has started: SIGTERM, and SIGKILL for what is left after a while. False when something
    /// of it lives on: the processes cannot be seen from here, or may not be signalled.
    pub(crate) async fn end_exec(&self, exec: &str, container: &str, leader: Option<i32>) -> bool {
        let leader = match leader {
            None => self.leader_of(exec).await,
            known => known,
        };
        let Some(leader) = leader else { return !self.runs(exec).await };
        let mut family = Vec::new();
        for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, LAST)] {
            let begun = Instant::now();
            let mut told: Vec<Process> = Vec::new();
            while begun.elapsed() < patience {
                family = exec_processes::of(leader, container, &family);
                if family.iter().all(|one| one.ended) {
                    return !self.runs(exec).await;
                }
                let has_children = |one: &Process| family.iter().any(|other| other.parent == one.number());
                let due = |one: &&Process| {
                    let from_below = begun.elapsed() < FROM_BELOW && has_children(one);
                    !one.ended && !from_below && !told.iter().any(|other| other.is(one))
                };
                let due: Vec<Process> = family.iter().filter(due).copied().collect();
                self.signal(container, &due, signal).await;
                told.extend(due);
                tokio::time::sleep(PAUSE).await;
            }
        }
        false
    }

    async fn runs(&self, exec: &str) -> bool {
        let begun = Instant::now();
        loop {
            let runs = self.docker.inspect_exec(exec).await.is_ok_and(|seen| seen.running == Some(true));
            // The engine hears of an end a moment later.
            if !runs || begun.elapsed() > GRACE {
                return runs;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn signal(&self, container: &str, family: &[Process], signal: Signal) {
        let refused = family.iter().filter(|one| kill_process(one.pid, signal) == Err(rustix::io::Errno::PERM));
        let inside: Vec<String> = refused.filter_map(exec_processes::pid_inside).map(|pid| pid.to_string()).collect();
        if inside.is_empty() {
            return;
        }
        // A user who may use the engine but not signal root's processes has the container's own root do it.
        let name = if signal == Signal::KILL { "-KILL" } else { "-TERM" };
        let fixed = ["sh", "-c", "kill \"$@\"", "kill", name].map(str::to_owned);
        let config = ExecConfig {
            cmd: Some(fixed.into_iter().chain(inside).collect()),
            user: Some("0".to_owned()),
            ..Default::default()
        };
        if let Ok(exec) = self.docker.create_exec(container, config).await {
            let detached = bollard::exec::StartExecOptions { detach: true, ..Default::default() };
            // Whether it helped is seen by who still lives.
            let _ = self.docker.start_exec(&exec.id, Some(detached)).await;
        }
    }
}
