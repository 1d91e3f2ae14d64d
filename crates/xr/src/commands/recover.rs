//! `xr recover`: ends a run that was killed, and goes on to the version that is asked for.

use clap::{Args, ValueEnum};
use serde_json::json;
use xr_journal::unfinished;
use xr_lifecycle::{Request, Wanted};
use xr_model::{Action, Plan, Result, RunKind, Verdict, exit};

use super::deploy::{deploy, request};
use crate::{
    commands::options,
    context::Context,
    print::{out, print_json},
    run,
};

/// `xr recover`
#[derive(Debug, Args)]
pub struct Recover {
    /// Which version shall serve; else whichever the run can be ended at soonest
    #[arg(long, value_enum, value_name = "WHICH")]
    pub to: Option<Which>,
}

/// The version to end at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The version from before the run
    Old,
    /// The version that the run was to bring
    New,
}

/// `xr recover`
pub async fn run(context: &Context, args: &Recover) -> Result<u8> {
    let session = context.session()?;
    let lock = run::lock(context, &session.home, "recover").await?;
    let past = unfinished(&session.home)?;
    let recovery = run::end_unfinished(&session).await?;
    drop(lock);
    let Some(past) = past else {
        context.renderer.finish();
        if context.globals.json {
            print_json(&json!({"format": 1, "unfinished": false}));
        } else {
            out("no run is unfinished");
        }
        return Ok(exit::OK);
    };
    let serves_new = recovery.as_ref().is_some_and(|r| r.outcome.generation == Some(past.plan.generation));
    let further = match args.to {
        Some(Which::New) if !serves_new => towards_new(&past.plan),
        Some(Which::Old) if serves_new => {
            let restore_data = puts_data_back(&past.plan);
            past.plan.from.map(|from| Wanted::Rollback { generation: Some(from), to: None, restore_data })
        }
        _ => None,
    };
    if let Some(wanted) = further {
        run::tell_end(&session, recovery.as_ref());
        let command = past.plan.kind.as_str();
        let request = Request { wanted, ..request(options::Run { dry_run: false, no_backup: false }) };
        return deploy(context, command, &request, false).await;
    }
    context.renderer.finish();
    let degraded = recovery.as_ref().is_some_and(|recovery| recovery.outcome.verdict == Verdict::Degraded);
    if let Some(recovery) = recovery {
        if context.globals.json {
            print_json(&json!({"format": 1, "unfinished": true, "run": recovery.run, "outcome": recovery.outcome}));
        } else {
            out(&run::how_it_ended(&recovery));
        }
    }
    Ok(if degraded { exit::DEGRADED } else { exit::OK })
}

/// What the run was asked for, asked again.
fn towards_new(plan: &Plan) -> Option<Wanted> {
    let version = Some(plan.version.clone());
    match plan.kind {
        RunKind::Install => Some(Wanted::Install { version, dev: false }),
        RunKind::Update => Some(Wanted::Update { to: version, channel: None, allow_downgrade: true }),
        RunKind::Rollback => {
            Some(Wanted::Rollback { generation: Some(plan.generation), to: None, restore_data: puts_data_back(plan) })
        }
        RunKind::Start | RunKind::Restart => None,
    }
}

fn puts_data_back(plan: &Plan) -> bool {
    plan.steps().any(|step| matches!(step.action, Action::SwapData { .. }))
}
