//! `xr history`: every run from its journal, and which generations are there to go back to.

use clap::Args;
use serde_json::{Value, json};
use xr_journal::{Generations, Home, PastRun, read_runs};
use xr_model::{Fault, Generation, Result, Verdict, exit};

use crate::{
    context,
    globals::Globals,
    print::{out, print_json},
    render::{table::table, time::moment},
};

/// `xr history`
#[derive(Debug, Args)]
pub struct History {
    /// Only this run, with its steps: its number in the list, or its id
    #[arg(value_name = "RUN")]
    run: Option<String>,
}

/// `xr history`
pub fn run(globals: &Globals, args: &History) -> Result<u8> {
    let home = Home::of(&context::root(globals)?);
    let generations = Generations::of(&home);
    let (kept, current) = (generations.all()?, generations.current()?.map(|g| g.number));
    let runs: Vec<(usize, PastRun)> = (1..).zip(read_runs(&home)?).collect();
    let chosen: Vec<&(usize, PastRun)> =
        match &args.run {
            None => runs.iter().collect(),
            Some(wanted) => {
                let found = runs.iter().find(|(number, run)| number.to_string() == *wanted || run.id == *wanted);
                vec![found.ok_or_else(|| {
                    Fault::new(format!("there is no run {wanted}")).hint("xr history").code(exit::USAGE)
                })?]
            }
        };
    if globals.json {
        print_json(&json!({
            "format": 1,
            "current": current,
            "generations": kept.iter().map(|g| generation_json(g, current)).collect::<Vec<_>>(),
            "runs": chosen.iter().map(|(number, run)| run_json(*number, run)).collect::<Vec<_>>(),
        }));
        return Ok(exit::OK);
    }
    if runs.is_empty() {
        out("no run was ever made here");
        return Ok(exit::OK);
    }
    if args.run.is_some() || globals.verbose > 0 {
        for (index, (number, run)) in chosen.iter().enumerate() {
            if index > 0 {
                out("");
            }
            details(*number, run, &kept);
        }
        return Ok(exit::OK);
    }
    let head =
        ["RUN", "WHEN", "COMMAND", "VERSION", "RESULT", "GENERATION", "TOOK", "CAUSE"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(runs.iter().rev().map(|(number, run)| cells(*number, run, &kept, current)))
        .collect();
    table(&rows).iter().for_each(|line| out(line));
    let list: Vec<String> = kept.iter().rev().map(|g| mark(g, current)).collect();
    if !list.is_empty() {
        out(&format!("kept generations: {}", list.join(", ")));
    }
    Ok(exit::OK)
}

fn mark(generation: &Generation, current: Option<u32>) -> String {
    let here = if Some(generation.number) == current { " serves" } else { "" };
    format!("{} ({}){here}", generation.number, generation.version)
}

fn versions(run: &PastRun) -> String {
    match &run.plan.from_version {
        Some(from) if from.as_str() != run.plan.version.as_str() => format!("{from} → {}", run.plan.version),
        _ => run.plan.version.to_string(),
    }
}

fn result(run: &PastRun) -> &'static str {
    match run.outcome.as_ref().map(|outcome| outcome.verdict) {
        None => "did not end",
        Some(Verdict::Unchanged) => "unchanged",
        Some(Verdict::Changed) => "done",
        Some(Verdict::Failed) => "failed, nothing changed",
        Some(Verdict::RolledBack) => "failed, rolled back",
        Some(Verdict::Degraded) => "degraded",
        Some(Verdict::Interrupted) => "interrupted",
    }
}

/// The generation that a run left serving, and whether it is the present one or gone.
fn generation(run: &PastRun, kept: &[Generation], current: Option<u32>) -> String {
    let Some(number) = run.outcome.as_ref().and_then(|outcome| outcome.generation) else { return "-".to_owned() };
    let made = run.outcome.as_ref().is_some_and(|outcome| outcome.verdict == Verdict::Changed);
    if Some(number) == current && made {
        format!("{number} *")
    } else if kept.iter().any(|g| g.number == number) {
        number.to_string()
    } else {
        format!("{number} (gone)")
    }
}

fn cells(number: usize, run: &PastRun, kept: &[Generation], current: Option<u32>) -> Vec<String> {
    let outcome = run.outcome.as_ref();
    vec![
        number.to_string(),
        moment(&run.at),
        run.plan.kind.as_str().to_owned(),
        versions(run),
        result(run).to_owned(),
        generation(run, kept, current),
        outcome.map_or_else(|| "-".to_owned(), |outcome| took(outcome.elapsed_ms)),
        outcome.and_then(|outcome| outcome.cause.as_deref()).map(one_line).unwrap_or_default(),
    ]
}

fn took(ms: u64) -> String {
    if ms == 0 { "-".to_owned() } else { format!("{:.1} s", ms as f64 / 1000.0) }
}

/// The first line, and no more of it than a terminal shows.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 100;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        line.to_owned()
    } else {
        format!("{}…", line.chars().take(LONGEST - 1).collect::<String>())
    }
}

fn details(number: usize, run: &PastRun, kept: &[Generation]) {
    out(&format!("run {number} ({}): {} {}, {}", moment(&run.at), run.plan.kind.as_str(), versions(run), result(run)));
    out(&format!("  id: {}", run.id));
    let outcome = run.outcome.as_ref();
    if let Some(outcome) = outcome {
        let serving = outcome.serving.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let number = outcome.generation.map(|n| format!(" (generation {n})")).unwrap_or_default();
        out(&format!("  served afterwards: {serving}{number}, took {}", took(outcome.elapsed_ms)));
    }
    let generation =
        kept.iter().find(|g| g.number == run.plan.generation && outcome.is_some_and(|o| o.verdict == Verdict::Changed));
    let changes = outcome.map(|outcome| outcome.changes.clone()).filter(|changes| !changes.is_empty());
    for change in changes.or_else(|| generation.map(|g| g.changes.clone())).unwrap_or_default() {
        out(&format!("  change: {change}"));
    }
    for (text, title) in steps(run) {
        out(&format!("  {text:12} {title}"));
    }
    if let Some(cause) = outcome.and_then(|outcome| outcome.cause.as_deref()).or(run.unwinding.as_deref()) {
        out(&format!("  cause: {cause}"));
    }
    for line in outcome.map(|outcome| outcome.log.as_slice()).unwrap_or_default() {
        out(&format!("  | {line}"));
    }
}

/// How far each step came.
fn steps(run: &PastRun) -> Vec<(&'static str, String)> {
    let state = |step: &xr_model::Step| match (run.done.contains(&step.id), run.started.contains(&step.id)) {
        (true, _) => "done",
        (false, true) if run.outcome.is_some() || run.unwinding.is_some() => "failed",
        (false, true) => "begun",
        (false, false) => "not reached",
    };
    let told = |step: &xr_model::Step| match run.skipped.get(&step.id) {
        Some(why) => ("skipped", format!("{}: {why}", step.action.title())),
        None => (state(step), step.action.title()),
    };
    run.plan.steps().map(told).collect()
}

fn generation_json(generation: &Generation, current: Option<u32>) -> Value {
    json!({
        "generation": generation.number,
        "version": generation.version,
        "applied_at": generation.applied_at,
        "made_by": generation.made_by,
        "parent": generation.parent,
        "version_id": generation.version_id,
        "serves": Some(generation.number) == current,
        "changes": generation.changes,
    })
}

fn run_json(number: usize, run: &PastRun) -> Value {
    json!({
        "run": number,
        "id": run.id,
        "at": run.at,
        "command": run.plan.kind,
        "from": run.plan.from_version,
        "to": run.plan.version,
        "outcome": run.outcome,
        "steps": steps(run).into_iter().map(|(state, title)| json!({"title": title, "state": state})).collect::<Vec<_>>(),
        "unwound_because": run.unwinding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a\nb"), "a");
        assert_eq!(one_line(&"é".repeat(200)).chars().count(), 100);
    }
}
