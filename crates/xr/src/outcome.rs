//! How a command ends: its last words and its exit code.

use std::process::ExitCode;

use serde_json::json;
use xr_model::{Event, Fault, Outcome, Verdict, exit};

use crate::{
    context::Context,
    print::{err, out, print_json},
};

/// The exit code of an outcome.
pub fn code(outcome: &Outcome) -> u8 {
    match outcome.verdict {
        Verdict::Unchanged | Verdict::Changed => exit::OK,
        Verdict::Failed if outcome.try_later => exit::TRY_LATER,
        Verdict::Failed => exit::FAILED,
        Verdict::RolledBack => exit::ROLLED_BACK,
        Verdict::Degraded => exit::DEGRADED,
        Verdict::Interrupted => exit::INTERRUPTED,
    }
}

/// Shows how a run ended and gives its exit code.
pub fn show(context: &Context, outcome: Outcome) -> u8 {
    let code = code(&outcome);
    context.renderer.finish();
    if context.globals.json {
        print_json(&json!({"format": 1, "outcome": outcome, "exit_code": code}));
    } else if !context.renderer.is_json() {
        words(context, &outcome);
    }
    context.renderer.emit(Event::End { outcome: Box::new(outcome) });
    code
}

fn words(context: &Context, outcome: &Outcome) {
    let version = |v: &Option<xr_model::Version>| v.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let seconds = format!("{:.1} s", outcome.elapsed_ms as f64 / 1000.0);
    let generation = outcome.generation.map(|n| format!(" (generation {n})")).unwrap_or_default();
    let serving = version(&outcome.serving);
    match outcome.verdict {
        Verdict::Unchanged => {
            // From cron there is nothing to say when there is nothing to do.
            if context.renderer.is_interactive() && !context.globals.quiet {
                out(&format!("{serving} is already so{generation}; nothing changed"));
            }
            return;
        }
        Verdict::Changed => {
            let from = outcome.from.as_ref().filter(|from| Some(*from) != outcome.serving.as_ref());
            let from = from.map(|from| format!("{from} → ")).unwrap_or_default();
            out(&format!("{}: {from}{serving} is healthy{generation}, {seconds}", outcome.command.as_str()));
            if !context.globals.quiet && context.renderer.is_interactive() {
                for change in &outcome.changes {
                    out(&format!("  {change}"));
                }
                if let Some(undo) = &outcome.undo {
                    out(&format!("back: {undo}"));
                }
            }
            return;
        }
        Verdict::Failed if outcome.from.is_none() => {
            err(&format!("{} failed; nothing is running, .env is kept", outcome.command.as_str()))
        }
        Verdict::Failed if outcome.serving.is_none() => err(&format!(
            "{} failed; nothing changed: {} does not serve, as before",
            outcome.command.as_str(),
            version(&outcome.from)
        )),
        Verdict::Failed => {
            err(&format!("{} failed; nothing changed: {serving} serves{generation}", outcome.command.as_str()))
        }
        Verdict::RolledBack if outcome.serving.is_none() => err(&format!(
            "{} of {} failed and was rolled back: what ran before is healthy, {seconds}",
            outcome.command.as_str(),
            version(&outcome.to)
        )),
        Verdict::RolledBack => {
            let how = if outcome.problems.is_empty() { "is healthy" } else { "serves again" };
            err(&format!(
                "{} to {} failed and was rolled back: {serving} {how}{generation}, {seconds}",
                outcome.command.as_str(),
                version(&outcome.to)
            ));
        }
        Verdict::Degraded => err(&format!(
            "{} to {} failed, and undoing it too: the stack needs a hand",
            outcome.command.as_str(),
            version(&outcome.to)
        )),
        Verdict::Interrupted if outcome.from.is_some() && outcome.serving.is_none() => err(&format!(
            "{} was interrupted: {} does not serve, as before",
            outcome.command.as_str(),
            version(&outcome.from)
        )),
        Verdict::Interrupted if outcome.from.is_none() => {
            err(&format!("{} was interrupted: what ran before runs", outcome.command.as_str()))
        }
        Verdict::Interrupted => {
            err(&format!("{} was interrupted: {serving} serves{generation}", outcome.command.as_str()))
        }
    }
    if !outcome.problems.is_empty() {
        err(&format!("not as it should be: {}", outcome.problems.join("; ")));
    }
    if let Some(cause) = &outcome.cause {
        err(&format!("cause: {cause}"));
    }
    if !outcome.log.is_empty() {
        err(&format!("last lines of {}:", outcome.service.as_deref().unwrap_or("the container")));
        for line in &outcome.log {
            err(&format!("  | {line}"));
        }
    }
    if let Some(hint) = &outcome.hint {
        err(&format!("hint: {hint}"));
    }
}

/// Shows a fault and gives its exit code.
pub fn fault(fault: &Fault, json: bool) -> ExitCode {
    if json {
        print_json(&json!({"format": 1, "error": fault.chain(), "hint": fault.hint, "exit_code": fault.code}));
    } else {
        err(&format!("error: {}", fault.chain()));
        if let Some(hint) = &fault.hint {
            err(&format!("hint: {hint}"));
        }
    }
    ExitCode::from(fault.code)
}
