//! `xr update`, `xr rollback`, and what `xr install` shares with them: show, confirm, apply.

use std::collections::BTreeMap;

use serde_json::json;
use xr_lifecycle::{Prepared, Request, Wanted, apply, prepare, prune_past};
use xr_model::{Result, Verdict, exit};
use xr_workers::catch_up;

use crate::{
    commands::options::{Channel, Rollback, Run, Update},
    context::Context,
    outcome,
    print::{out, print_json},
    prompt, run,
};

/// `xr update`
pub async fn update(context: &Context, args: &Update) -> Result<u8> {
    let channel = args.channel.map(|channel| match channel {
        Channel::Stable => xr_stack::Channel::Stable,
        Channel::Dev => xr_stack::Channel::Dev,
    });
    let request = Request {
        wanted: Wanted::Update { to: args.to.clone(), channel, allow_downgrade: args.allow_downgrade },
        refresh: args.refresh,
        accept_repushed: args.accept_repushed,
        accept_empty_data: args.accept_empty_data,
        trust_keys: args.trust_key.clone(),
        ..request(args.run)
    };
    deploy(context, "update", &request, args.check).await
}

/// `xr rollback`
pub async fn rollback(context: &Context, args: &Rollback) -> Result<u8> {
    let wanted = Wanted::Rollback { generation: args.generation, to: args.to.clone(), restore_data: args.restore_data };
    deploy(context, "rollback", &Request { wanted, ..request(args.run) }, false).await
}

/// A request with nothing special in it.
pub fn request(run: Run) -> Request {
    Request {
        wanted: Wanted::Install { version: None, dev: false },
        set: BTreeMap::new(),
        without: None,
        refresh: false,
        accept_repushed: false,
        accept_empty_data: false,
        adopt: false,
        no_backup: run.no_backup,
        trust_keys: Vec::new(),
        dry_run: run.dry_run,
    }
}

/// The one flow as a user sees it.
pub async fn deploy(context: &Context, command: &'static str, request: &Request, check: bool) -> Result<u8> {
    let session = match request.wanted {
        Wanted::Update { .. } => context.world_to_update()?,
        _ => context.session()?,
    };
    let lock = run::begin(context, &session, command).await?;
    let prepared = prepare(&session, request, lock).await?;
    prepared.tell_notes(&session);
    let ends = ends_here(context, request, check, &prepared);
    if !matches!(ends, Ok(None)) {
        prepared.abandon(&session);
    }
    if let Some(code) = ends? {
        return Ok(code);
    }
    let _guard = (!prepared.plan.is_empty()).then(|| run::guard(&session));
    let outcome = apply(&session, &prepared).await;
    prepared.tell_open_secrets(&session);
    // A run that changes something takes them along, as far as they are there.
    if outcome.verdict == Verdict::Unchanged {
        catch_up(&session).await;
    }
    if outcome.verdict == Verdict::Changed && !matches!(request.wanted, Wanted::Rollback { .. }) {
        prune_past(&session, prepared.keep()).await;
    }
    Ok(outcome::show(context, outcome))
}

/// The exit code when the plan was only to be shown, or was declined.
fn ends_here(context: &Context, request: &Request, check: bool, prepared: &Prepared) -> Result<Option<u8>> {
    if check {
        return Ok(Some(say_check(context, prepared)));
    }
    if request.dry_run {
        context.renderer.finish();
        show_plan(context, prepared);
        return Ok(Some(exit::OK));
    }
    if prepared.plan.is_empty() {
        return Ok(None);
    }
    context.renderer.finish();
    if context.renderer.is_interactive() && !context.globals.yes {
        show_plan(context, prepared);
    }
    if prompt::confirm(&context.globals, &question(prepared))? {
        return Ok(None);
    }
    out("nothing was changed");
    Ok(Some(exit::OK))
}

fn question(prepared: &Prepared) -> String {
    let plan = &prepared.plan;
    let lost = prepared.lost();
    let lost = if lost.is_empty() { String::new() } else { format!(", and lose {}", lost.join(", ")) };
    match &plan.from_version {
        Some(from) if *from != plan.version => format!("{} {from} → {}{lost}?", plan.kind.as_str(), plan.version),
        _ => format!("{} {}{lost}?", plan.kind.as_str(), plan.version),
    }
}

fn say_check(context: &Context, prepared: &Prepared) -> u8 {
    let available = !prepared.plan.is_empty();
    context.renderer.finish();
    if context.globals.json {
        print_json(&json!({
            "format": 1,
            "update_available": available,
            "current": prepared.from(),
            "version": prepared.plan.version,
            "changes": prepared.changes(),
        }));
    } else if available {
        let from = prepared.from().map(|from| format!("{from} → ")).unwrap_or_default();
        out(&format!("update available: {from}{}", prepared.plan.version));
    } else if context.renderer.is_interactive() {
        out(&format!("{} is the newest", prepared.plan.version));
    }
    if available { exit::AVAILABLE } else { exit::OK }
}

/// The plan as a table, or as JSON.
pub fn show_plan(context: &Context, prepared: &Prepared) {
    let plan = &prepared.plan;
    if context.globals.json {
        let (changes, lost, verified) = (prepared.changes(), prepared.lost(), prepared.verified());
        print_json(&json!({"format": 1, "plan": plan, "changes": changes, "lost": lost, "verified": verified}));
        return;
    }
    if plan.is_empty() {
        out(&format!("nothing to do: {} is already so", plan.version));
        return;
    }
    for change in prepared.changes() {
        out(change);
    }
    for verified in prepared.verified() {
        out(&format!("verified: {verified}"));
    }
    for lost in prepared.lost() {
        out(&format!("lost: {lost}; a backup of the present data is taken first"));
    }
    for (number, stage) in plan.stages.iter().enumerate() {
        let titles: Vec<String> = stage.steps.iter().map(|step| step.action.title()).collect();
        out(&format!("{:>3}. {}", number + 1, titles.join(" · ")));
    }
}
