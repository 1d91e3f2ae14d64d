//! `xr worker list` and `show`.

use serde_json::json;
use xr_model::{Result, Worker, exit};
use xr_workers::{Ledger, Row};

use super::List;
use crate::{
    context::Context,
    print::{out, print_json},
    render::{
        table::table,
        time::{seconds_since, span},
    },
};

/// `xr worker list`
pub async fn list(context: &Context, args: &List) -> Result<u8> {
    let session = context.session()?;
    let wanted: Vec<Worker> =
        session.site.workers.iter().filter(|worker| worker.matches(&args.label)).cloned().collect();
    if wanted.is_empty() && !session.site.workers.is_empty() {
        return Err(xr_workers::nobody_has(&args.label));
    }
    if args.offline {
        let mut ledger = Ledger::read(&session);
        context.renderer.finish();
        if context.globals.json {
            print_json(&json!({"format": 1, "workers": wanted}));
            return Ok(exit::OK);
        }
        let head = ["WORKER", "SSH", "VERSION", "SEEN", "LABELS"].map(str::to_owned).to_vec();
        let rows = wanted.iter().map(|worker| {
            let known = ledger.of(&worker.name).clone();
            vec![worker.name.clone(), worker.ssh.clone(), dash(known.version), dash(known.seen_at), labels(worker)]
        });
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).iter().for_each(|line| out(line));
        return Ok(exit::OK);
    }
    let rows = xr_workers::rows(&session, &wanted).await?;
    context.renderer.finish();
    if context.globals.json {
        print_json(&json!({"format": 1, "workers": rows}));
    } else if rows.is_empty() {
        out("no workers (xr worker add user@host)");
    } else {
        print(&rows);
    }
    Ok(exit::OK)
}

/// The table of hosts.
pub fn print(rows: &[Row]) {
    let head = ["WORKER", "AGENT", "ENGINE", "IMAGE", "DISK FREE", "CLOCK", "HEARTBEAT", "TASKS", "STATE"];
    let head = head.map(str::to_owned).to_vec();
    let cells = rows.iter().map(|row| {
        vec![
            row.name.clone(),
            dash(row.agent.clone().unwrap_or_default()),
            dash(row.engine.clone().unwrap_or_default()),
            row.image.as_ref().map_or_else(|| "-".to_owned(), |id| short(id)),
            row.disk_free.map_or_else(|| "-".to_owned(), |free| format!("{:.0} %", free * 100.0)),
            row.clock_ahead.map_or_else(|| "-".to_owned(), |ahead| format!("{ahead:+.1} s")),
            row.heartbeat
                .as_ref()
                .and_then(|at| seconds_since(at))
                .map_or_else(|| "-".to_owned(), |age| format!("{} ago", span(age))),
            if row.reachable { row.tasks.to_string() } else { "-".to_owned() },
            state(row),
        ]
    });
    table(&std::iter::once(head).chain(cells).collect::<Vec<_>>()).iter().for_each(|line| out(line));
}

fn state(row: &Row) -> String {
    let mut words = Vec::new();
    if row.drained {
        words.push("drained".to_owned());
    }
    if !row.drift.is_empty() {
        words.push(row.drift.join(", "));
    }
    if let Some(error) = row.error.as_ref().filter(|_| row.agent.is_none()) {
        words.push(error.clone());
    }
    if words.is_empty() { "ok".to_owned() } else { words.join("; ") }
}

/// `xr worker show`
pub async fn show(context: &Context, name: &str) -> Result<u8> {
    let session = context.session()?;
    let worker = session.worker(name)?.clone();
    let rows = xr_workers::rows(&session, std::slice::from_ref(&worker)).await?;
    let standing = Ledger::read(&session).of(name).clone();
    context.renderer.finish();
    let Some(row) = rows.first() else { return Ok(exit::FAILED) };
    if context.globals.json {
        print_json(&json!({"format": 1, "worker": worker, "now": row, "remembered": standing}));
        return Ok(if row.reachable { exit::OK } else { exit::FAILED });
    }
    let mut lines = vec![
        ("worker", worker.name.clone()),
        ("ssh", worker.ssh.clone()),
        ("server", dash(worker.server.clone())),
        ("labels", dash(labels(&worker))),
        ("state", state(row)),
        (
            "agent",
            format!("{} ({})", dash(row.agent.clone().unwrap_or_default()), row.state.clone().unwrap_or_default()),
        ),
        ("engine", dash(row.engine.clone().unwrap_or_default())),
        ("image", dash(row.image.clone().unwrap_or_default())),
        ("heartbeat", dash(row.heartbeat.clone().unwrap_or_default())),
    ];
    if let Some(free) = row.disk_free {
        lines.push(("disk free", format!("{:.0} %", free * 100.0)));
    }
    if let Some(ms) = row.latency_ms {
        lines.push(("latency", format!("{ms} ms")));
    }
    if !standing.error.is_empty() {
        lines.push(("last error", standing.error.clone()));
    }
    if let Some(rests) = standing.rests() {
        lines.push(("catching up", rests));
    }
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    table(&rows).iter().for_each(|line| out(line));
    Ok(if row.reachable { exit::OK } else { exit::FAILED })
}

fn labels(worker: &Worker) -> String {
    worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn short(id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex).to_owned()
}
