//! `xr worker add`: look, ask about the host key once, make it a worker.

use serde_json::json;
use xr_model::{Fault, Level, Result, Worker, exit};
use xr_session::Session;
use xr_stack::name_of;
use xr_workers::{Candidate, Target};

use super::Add;
use crate::{
    context::Context,
    print::{err, out, print_json},
    prompt, run,
};

/// `xr worker add`
pub async fn run(context: &Context, args: &Add) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::begin(context, &session, "worker add").await?;
    let target = Target::present(&session).await?;
    target.refuse_none()?;
    let worker = listed(&session, args);
    let candidate = examine(context, &session, &target, worker, args.host_key.as_deref()).await?;
    if args.dry_run {
        context.renderer.finish();
        show(context, &candidate);
        return Ok(exit::OK);
    }
    for note in &candidate.notes {
        session.say(Level::Info, format!("{}: {note}", candidate.worker.ssh));
    }
    let from = args.images_from.map_or(session.site.fleet.images_from, Into::into);
    let added = xr_workers::add(&session, &target, &candidate, from).await?;
    xr_workers::register(&session, &candidate.worker)?;
    context.renderer.finish();
    let worker = &candidate.worker;
    if context.globals.json {
        print_json(
            &json!({"format": 1, "worker": worker, "version": target.version, "installed_docker": added.installed_docker}),
        );
    } else {
        let docker = if added.installed_docker { ", Docker was installed" } else { "" };
        out(&format!("worker {} ({}) is at {}{docker}", worker.name, worker.ssh, target.version));
    }
    Ok(exit::OK)
}

/// The worker as it would stand in the list; what is listed already and not said anew stays.
fn listed(session: &Session<'_>, args: &Add) -> Worker {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.ssh));
    let known = session.site.workers.iter().find(|worker| worker.name == name && worker.ssh == args.ssh);
    let mut worker = known.cloned().unwrap_or_else(|| Worker {
        name,
        ssh: args.ssh.clone(),
        server: String::new(),
        labels: Default::default(),
        drained: false,
    });
    if let Some(server) = &args.server {
        worker.server.clone_from(server);
    }
    worker.labels.extend(args.label.iter().cloned());
    worker
}

/// Everything before something changes: the host key, then the host.
pub async fn examine(
    context: &Context,
    session: &Session<'_>,
    target: &Target,
    worker: Worker,
    expected: Option<&str>,
) -> Result<Candidate> {
    if let Some(key) = xr_workers::host_key(session, &worker).await? {
        context.renderer.finish();
        if let Some(expected) = expected {
            if !key.fingerprint.split_whitespace().any(|word| word == expected) {
                return Err(Fault::new(format!("{}: its host key is {}, not {expected}", worker.ssh, key.fingerprint))
                    .hint("nothing was sent to it; is it the right machine?"));
            }
        } else {
            err(&format!("{}: host key {}", worker.ssh, key.fingerprint));
            if !prompt::confirm(&context.globals, "is that the key of this host?")? {
                return Err(Fault::new("the host key was not accepted; nothing was changed").hint(format!(
                    "on the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; then xr worker add {} --host-key SHA256:…",
                    worker.ssh
                )));
            }
        }
        session.ssh()?.accept(&key)?;
    }
    xr_workers::probe(session, target, worker).await
}

fn show(context: &Context, candidate: &Candidate) {
    let (worker, facts) = (&candidate.worker, &candidate.facts);
    if context.globals.json {
        print_json(&json!({
            "format": 1, "worker": worker, "os": facts.os, "arch": facts.arch, "needs_docker": candidate.needs_docker,
            "disk_free_kib": facts.disk_free, "memory_kib": facts.memory, "cpus": facts.cpus,
            "clock_ahead_s": facts.ahead, "notes": candidate.notes,
        }));
        return;
    }
    out(&format!(
        "{} would be worker {}: {}, {}, {} processors",
        worker.ssh, worker.name, facts.os, facts.arch, facts.cpus
    ));
    out(&format!("  {} MiB of memory, {} MiB free for images", facts.memory >> 10, facts.disk_free >> 10));
    out(&format!("  reaches the server at {}", worker.server));
    if candidate.needs_docker {
        out("  Docker is missing and would be installed");
    }
    for note in &candidate.notes {
        out(&format!("  {note}"));
    }
}
