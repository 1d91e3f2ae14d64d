//! `xr doctor`: what is wrong, the command that mends each, and with `--fix` the safe repairs.

use std::{future::ready, io::stdout};

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use xr_doctor::{Facts, Finding, Mended, Scope, Severity, judge, mend, observe};
use xr_model::{Result, Service, exit};
use xr_stack::Resolved;

use super::worker;
use crate::{
    context::Context,
    print::is_coloured,
    print::{err, out, out_marked, print_json},
};

/// `xr doctor`
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "Exit codes: 0 no problem (warnings alone count as none), 6 problems found.\n\
    Works with what it can see: without Docker, with a broken xr.toml or .env, before the first install.")]
pub struct Doctor {
    /// Make the repairs that lose nothing: modes and owners, doubled or misspelled lines of .env that compose reads the
    /// same, tags, leftovers, stopped containers, an interrupted run
    #[arg(long)]
    pub fix: bool,
    /// Ask the registries too whether tags were re-pushed
    #[arg(long)]
    pub online: bool,
}

/// Runs it.
///
/// # Errors
/// When there is no stack; with `--fix` also when another run holds the lock.
pub async fn run(context: &Context, args: Doctor) -> Result<u8> {
    let root = context.root()?;
    let scope = Scope { online: args.online, thorough: context.globals.verbose > 0 };
    let (tell, told) = oneshot::channel();
    let told = async { told.await.ok() };
    let (observed, hosts) = tokio::join!(observe(&root, scope, told), hosts(context, tell));
    let mut facts = observed?;
    let mut findings = judge(&facts);
    let (hosts, of_hosts) = match hosts {
        Ok(rows) => (rows, None),
        Err(fault) => (None, Some(xr_doctor::unseen(&fault))),
    };
    let of_hosts = of_hosts.into_iter().chain(hosts.as_deref().map(xr_doctor::findings).unwrap_or_default());
    let mut mended: Vec<Mended> = Vec::new();
    if args.fix {
        // Ending a killed run changes what else is wrong: one more round then.
        for _ in 0..2 {
            if findings.iter().all(|finding| finding.fix.is_none()) {
                break;
            }
            mended.extend(mend(&context.session()?, &findings).await?);
            facts = observe(&root, scope, ready(None)).await?;
            findings = judge(&facts);
            if mended.iter().any(|one| one.result.is_err()) {
                break;
            }
        }
    }
    findings.extend(of_hosts);
    context.renderer.finish();
    let problems = count(&findings, Severity::Problem);
    let code = if problems == 0 { exit::OK } else { exit::FINDINGS };
    if context.globals.json {
        let mended: Vec<Value> = mended
            .iter()
            .map(|one| json!({"fix": one.title, "error": one.result.as_ref().err().map(xr_model::Fault::chain)}))
            .collect();
        print_json(
            &json!({"format": 1, "findings": findings, "facts": versions(&facts), "workers": hosts, "fixed": mended, "exit_code": code}),
        );
        return Ok(code);
    }
    for one in &mended {
        match &one.result {
            Ok(()) => out(&format!("fixed    {}", one.title)),
            Err(fault) => err(&format!("not fixed  {}: {}", one.title, fault.chain())),
        }
    }
    if let Some(rows) = hosts.as_deref().filter(|rows| !rows.is_empty()) {
        worker::print(rows);
    }
    show(context, &findings);
    Ok(code)
}

/// The workers, when there are any. Compose is asked for what they shall have, and the answer is told.
///
/// # Errors
/// When there are some and it is not known what they shall have.
async fn hosts(context: &Context, tell: oneshot::Sender<Vec<Service>>) -> Result<Option<Vec<xr_workers::Row>>> {
    // What keeps the stack itself from being read is found by the doctor's other eyes.
    let Some(session) = context.session().ok().filter(|session| !session.site.workers.is_empty()) else {
        return Ok(None);
    };
    let tell = |resolved: &Resolved| {
        // Nobody listens where the doctor cannot use it.
        let _ = tell.send(resolved.services.clone());
    };
    xr_workers::rows_and(&session, &session.site.workers, tell).await.map(Some)
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// Which version each place names.
fn versions(facts: &Facts) -> Value {
    let current = facts.current();
    let key = facts.manifest.version.key.as_str();
    json!({
        "root": facts.root,
        "generation": current.map(|g| g.number),
        "version": current.map(|g| &g.version),
        "version_file": facts.tree.version.as_ref().ok(),
        "git_tags": facts.tree.tags,
        "commit": facts.tree.head.as_ref().and_then(|head| Some(&head.as_ref().ok()?.commit)),
        "env": facts.env().and_then(|env| env.get(key)).map(|value| value.text),
        "engine": facts.engine.as_ref().ok().map(|info| &info.version),
        "compose": facts.compose_version,
        "containers": facts.all_containers().iter().map(|c| json!({
            "name": c.name,
            "service": c.service,
            "image": c.image,
            "image_id": c.image_id,
            "state": c.state,
            "health": c.health,
        })).collect::<Vec<_>>(),
    })
}

fn show(context: &Context, findings: &[Finding]) {
    let verbose = context.globals.verbose > 0;
    let shown: Vec<&Finding> = findings.iter().filter(|f| f.severity != Severity::Info || verbose).collect();
    let colour = is_coloured(&stdout());
    let width = shown.iter().map(|f| f.subject.chars().count()).max().unwrap_or(0).min(32);
    for finding in &shown {
        let evidence = finding.evidence.replace('\n', "\n           ");
        out_marked(&painted(finding, colour), &format!("  {:width$}  {evidence}", finding.subject));
        for line in &finding.log {
            out(&format!("         | {line}"));
        }
        if let Some(command) = &finding.command {
            let also = if finding.fix.is_some() && !command.contains("xr doctor --fix") {
                "   (or: xr doctor --fix)"
            } else {
                ""
            };
            out(&format!("         > {command}{also}"));
        }
    }
    let (problems, warnings) = (count(findings, Severity::Problem), count(findings, Severity::Warning));
    let notes = findings.iter().filter(|f| f.word() == "note").count();
    let fine = findings.iter().filter(|f| f.word() == "ok").count();
    if problems + warnings == 0 && context.globals.quiet {
        return;
    }
    let hidden = if verbose { "" } else { " (-v shows them)" };
    out(&format!(
        "{}, {}, {}, {fine} ok{hidden}",
        some(problems, "problem"),
        some(warnings, "warning"),
        some(notes, "note")
    ));
}

fn some(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The severity's word; colour only adds to it.
fn painted(finding: &Finding, colour: bool) -> String {
    let word = format!("{:7}", finding.word());
    let code = match finding.word() {
        "problem" => "31",
        "warning" => "33",
        "note" => "36",
        _ => "32",
    };
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word }
}
