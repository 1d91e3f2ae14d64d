//! What one run of a program costs this side: time, processor time and memory.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Of one run, or the median of each over several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub wall: Duration,
    /// User and system time, that of ended children included.
    pub cpu: Duration,
    /// The most memory that the program itself held (`VmHWM`), without its children.
    pub peak_kib: u64,
    /// Logins that the hosts saw.
    pub logins: usize,
    pub failed: bool,
}

impl Cost {
    /// Runs it to its end. Other exit codes than 0 and `finding` are failures.
    pub fn of(command: &mut Command, finding: i32) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (before, begun) = (of_children()?, Instant::now());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let peak = Peak::watch(child.id());
        let status = child.wait()?;
        let wall = begun.elapsed();
        let cpu = of_children()? - before;
        let failed = !status.success() && status.code() != Some(finding);
        Ok(Self { wall, cpu, peak_kib: peak.end(), logins: 0, failed })
    }

    /// The median of each figure; a failure stays one.
    pub fn median(costs: &[Self]) -> Self {
        Self {
            wall: middle(costs, |cost| cost.wall),
            cpu: middle(costs, |cost| cost.cpu),
            peak_kib: middle(costs, |cost| cost.peak_kib),
            logins: middle(costs, |cost| cost.logins),
            failed: costs.iter().any(|cost| cost.failed),
        }
    }
}

fn middle<T: Ord + Copy + Default>(costs: &[Cost], figure: impl Fn(&Cost) -> T) -> T {
    let mut all: Vec<T> = costs.iter().map(figure).collect();
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Reads a process's high-water mark until it is gone.
struct Peak {
    over: Arc<AtomicBool>,
    reader: std::thread::JoinHandle<u64>,
}

impl Peak {
    fn watch(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let reader = std::thread::spawn(move || {
            let mut peak = 0;
            while !ended.load(Ordering::SeqCst) {
                peak = high_water(pid).unwrap_or(0).max(peak);
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        Self { over, reader }
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::SeqCst);
        self.reader.join().unwrap_or_default()
    }
}

fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Processor time of this process's children that have ended, and of theirs.
fn of_children() -> Result<Duration> {
    times("self", 13).context("cannot read /proc/self/stat")
}

/// Processor time of a process itself; `None` when it is gone.
pub(super) fn of_process(pid: &str) -> Option<Duration> {
    times(pid, 11)
}

/// User and system time, the two fields of `/proc/PID/stat` from this one after the name on.
fn times(pid: &str, field: usize) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(field)?.parse::<u64>().ok()? + fields.get(field + 1)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10)) // the unit of these fields is USER_HZ, 100 on Linux
}
