//! What is wrong with each worker.

use jiff::Timestamp;
use xr_model::Fault;
use xr_workers::{Row, UNHEALTHY};

use crate::Finding;

/// How far a clock may be off, in seconds.
const SKEW: f64 = 5.0;
/// How old a heartbeat may be, in seconds.
const SILENT: i64 = 120;
/// Of a disk, so much must be free.
const FREE: f64 = 0.05;

/// That no worker could be looked at.
pub fn unseen(fault: &Fault) -> Finding {
    Finding::problem("worker", "workers", format!("not looked at: {}", fault.chain())).hint(fault.hint.clone())
}

/// What is wrong with each.
pub fn findings(rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in rows {
        let subject = format!("worker {}", row.name);
        if row.absent {
            let check = if row.reachable { "worker.engine" } else { "worker.reachable" };
            let evidence = row.error.clone().unwrap_or_default();
            let found = match row.drained {
                true => Finding::warning(check, subject, evidence),
                false => Finding::problem(check, subject, evidence),
            };
            findings.push(found.hint(row.hint.clone()));
            continue;
        }
        if !row.drift.is_empty() {
            let evidence = row.drift.join(", ");
            // An agent that is the wanted one and unwell has its reasons in its log.
            let unwell = row.drift.iter().all(|one| one == UNHEALTHY);
            let mends = format!("xr worker {} {}", if unwell { "logs" } else { "sync" }, row.name);
            findings.push(Finding::problem("worker.drift", &subject, evidence).command(mends));
        }
        if let Some(ahead) = row.clock_ahead.filter(|ahead| ahead.abs() > SKEW) {
            let way = if ahead > 0.0 { "ahead" } else { "behind" };
            let evidence = format!("its clock is {:.0} s {way}", ahead.abs());
            let mends = format!("ssh {} sudo timedatectl set-ntp true", row.ssh);
            findings.push(Finding::problem("worker.clock", &subject, evidence).command(mends));
        }
        if let Some(free) = row.disk_free.filter(|free| *free < FREE) {
            let evidence = format!("{:.0} % of its disk are free", free * 100.0);
            let mends = format!("ssh {} docker system df", row.ssh);
            findings.push(Finding::warning("worker.disk", &subject, evidence).command(mends));
        }
        let age = row.heartbeat.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
        if let Some(age) = age.map(|at| Timestamp::now().duration_since(at).as_secs())
            && age - row.clock_ahead.unwrap_or_default().abs() as i64 > SILENT
        {
            let evidence = format!("no heartbeat for {age} s");
            findings.push(
                Finding::problem("worker.heartbeat", &subject, evidence)
                    .command(format!("xr worker logs {}", row.name)),
            );
        }
        if findings.last().is_none_or(|last| last.subject != subject) {
            let version = row.agent.clone().unwrap_or_else(|| "no agent".to_owned());
            findings.push(Finding::info(
                "worker",
                &subject,
                format!("{version}, {} ms", row.latency_ms.unwrap_or_default()),
            ));
        }
    }
    findings
}
